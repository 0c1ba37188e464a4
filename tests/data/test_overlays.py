"""Pictures of predictions on their images."""

import tracemalloc

import numpy as np

from foldwise.data.overlays import overlay


def test_a_large_picture_takes_little_more_than_itself():
    image, labels = np.zeros((3, 2000, 2000), np.uint8), np.ones((2000, 2000), np.uint8)
    tracemalloc.start()
    try:
        overlay(image, labels)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # The picture itself has 3 bytes a pixel; floats of all pixels at once took 80.
    assert peak < 20 * labels.size
