"""What a fit takes, and the images by which that is estimated: plain numbers, read and written without torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Estimate:
    """What one fit takes on this machine's CPU, with as many threads as torch has here.

    Args:
        seconds_per_fit: training, and asking about the inner validation after each epoch and about the test fold
            once; where features are stored, training of the head alone.
        seconds_for_features: one pass of a frozen encoder over the images, in one view of them; 0 where features are not stored.
        seconds_for_pretraining: of the network of one fold; 0 where it is not pretrained.
        seconds_per_test: of one look at a test fold through the whole network.
        memory_mb: the most at a time, in 10^6 bytes: weights with their copies, gradients, the optimiser's numbers, and
            what a step keeps for its gradient, or what a look at the largest image takes; the program comes on top.
    """

    seconds_per_fit: float
    seconds_for_features: float
    memory_mb: float
    parameters: int
    seconds_for_pretraining: float = 0.0
    seconds_per_test: float = 0.0

    @property
    def seconds_before(self) -> float:
        """Of the item that a fit needs, at most one; fits share it."""
        return self.seconds_for_features + self.seconds_for_pretraining


@dataclass(frozen=True)
class EvaluatedImages:
    """The whole images that one fit is asked about.

    Args:
        validation: images of the inner validation, looked at after every epoch.
        test: images of the test fold, looked at once.
        size_hw: the largest height and width; those of the images trained on where None.
        mean_px: pixels of one of them, on average; those of the largest where None.
        step_px: pixels of an image of a step, with what pads it, where images are not cropped; likewise.
        sizes: how many heights and widths there are.
    """

    validation: int
    test: int
    size_hw: tuple[int, int] | None = None
    mean_px: float | None = None
    step_px: float | None = None
    sizes: int = 1
