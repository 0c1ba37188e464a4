"""Histograms of several epochs as a mountain range."""

import re

import numpy as np
import pytest

from foldwise.reporting.drawing.histograms import decade, fewer_bins, ridges, trimmed


def test_bins_are_trimmed_and_joined_without_losing_anything():
    edges = np.linspace(0, 10, 11)
    counts = np.zeros((2, 10))
    counts[0, 4], counts[1, 6] = 1000, 5
    inside = trimmed(edges, counts)
    assert (inside.start, inside.stop) == (3, 8)
    assert trimmed(edges, np.zeros((2, 10))) == slice(0, 10)
    ends, joined = fewer_bins(edges, counts + 1, 4)
    assert joined.shape == (2, 4)
    assert joined.sum() == (counts + 1).sum()
    assert ends.tolist() == [0, 3, 6, 9, 12]
    same = fewer_bins(edges, counts, 40)
    assert np.array_equal(same[0], edges)
    assert np.array_equal(same[1], counts)


def test_ridges_share_one_height_and_the_chosen_one_is_marked():
    edges = np.linspace(-8, 0, 21)
    counts = np.zeros((3, 20))
    counts[0, 5], counts[1, 10], counts[2, 15] = 400, 800, 200
    drawn = str(ridges("a <b>", edges, counts, [0, 3, 7], chosen=3, x_title="x →", decades=True))
    tops = [
        floor - min(float(point.split(",")[1]) for point in points.split())
        for points in re.findall(r'points="([^"]*)"', drawn)
        for floor in [float(points.split()[0].split(",")[1])]
    ]
    assert tops == pytest.approx([17, 34, 8.5], abs=0.1)
    assert drawn.count("ridge marked") == 1
    assert "● 3" in drawn
    assert "a &lt;b&gt;" in drawn
    assert ">10⁻⁸<" in drawn
    assert "from,to,epoch 0,epoch 3,epoch 7" in drawn
    assert (decade(-12), decade(0), decade(3)) == ("10⁻¹²", "10⁰", "10³")
