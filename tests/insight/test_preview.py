"""Pictures of the augmentation: drawn by the pipeline of training, in the values of the files."""

import numpy as np
import pytest
import torch
from fits_to_try import SPLIT, tiny
from jobs import job
from scipy.ndimage import binary_erosion

from foldwise.data.batches.batches import Pictures
from foldwise.data.batches.normalize import normalization
from foldwise.data.batches.sampling import step_generators
from foldwise.insight.preview import chosen, preview_item
from foldwise.study.ranges import IGNORE
from foldwise.study.training import AUGMENTS, Augment


def preview(folder, packed, augment, crop_px=None, normalize="auto"):
    folder.mkdir()
    settings = {
        "augment": augment.model_dump(mode="json"),
        "crop_px": crop_px,
        "normalize": normalize,
        "pretrained": False,
        "seed": 2**62 + 5,
        "threads": 1,
    }
    preview_item(job(settings, folder, packed=packed, split=SPLIT))
    with np.load(folder / "preview.npz", allow_pickle=False) as arrays:
        return dict(arrays)


@pytest.mark.parametrize(
    "task", ["binary_classification", "multilabel_classification", "multiclass_segmentation"]
)
@pytest.mark.parametrize("crop_px", [None, 8])
def test_draws_are_those_of_the_training_pipeline(tmp_path, task, crop_px):
    packed, augment = tiny(task, dtype=np.dtype(np.float32)), AUGMENTS["strong"]
    made = preview(tmp_path / "a", packed, augment, crop_px)
    asked = normalization("train", pretrained=False, packed=packed, train=SPLIT.train)
    pictures = Pictures(packed, asked, torch.device("cpu"))
    assert set(made["case"].tolist()) <= set(SPLIT.train.tolist())
    for place, case in enumerate(made["case"].tolist()):
        generators = step_generators(2**62 + 5, place)
        batches = pictures.training(
            [np.array([case])] * 4, crop_px=crop_px, augment=augment, generators=generators
        )
        for draw, batch in enumerate(batches):
            expected = (
                batch.inputs[0].numpy() * np.array(asked.std)[:, None, None]
                + np.array(asked.mean)[:, None, None]
            )
            np.testing.assert_allclose(made[f"draws_{place}"][draw], expected, atol=1e-5)
            if task.endswith("segmentation"):
                assert np.array_equal(made[f"masks_{place}"][draw], batch.targets[0])


def test_what_comes_from_outside_is_marked_and_has_the_mean(tmp_path):
    packed = tiny("binary_classification")
    made = preview(tmp_path / "a", packed, Augment(shift=0.5), normalize="train")
    outside = np.concatenate([made[f"masks_{place}"] == IGNORE for place in range(4)])
    values = np.concatenate([made[f"draws_{place}"][:, 0] for place in range(4)])
    assert 0 < outside.mean() < 1
    mean = float(packed.channel_stats(SPLIT.train)[0][0])
    deep = np.stack([binary_erosion(one, iterations=2, border_value=1) for one in outside])
    assert np.abs(values[deep].astype(float) - mean).max() <= 1


def test_flips_give_pixels_of_the_image_in_the_type_of_the_file(tmp_path):
    packed = tiny("multiclass_segmentation", dtype=np.dtype(np.uint16))
    made = preview(tmp_path / "a", packed, Augment(flip=True))
    for place, case in enumerate(made["case"].tolist()):
        draws = made[f"draws_{place}"]
        assert draws.dtype == np.uint16
        for draw, mask in zip(draws, made[f"masks_{place}"], strict=True):
            image, target = packed.image(case), packed.target(case)
            turned = [(image[:, ::y, ::x], target[::y, ::x]) for y in (1, -1) for x in (1, -1)]
            assert any(
                np.abs(draw.astype(int) - one).max() <= 1 and np.array_equal(mask, true)
                for one, true in turned
            )


def test_the_images_are_spread_over_the_classes():
    packed = tiny("multiclass_classification")
    assert {int(packed.labels[case]) for case in chosen(packed, SPLIT.train)} == {0, 1, 2}
    assert len(chosen(packed, SPLIT.train[:2])) == 2


def test_large_images_are_kept_small(tmp_path):
    packed = tiny("binary_segmentation", sizes=((400, 512),) * 24)
    made = preview(tmp_path / "a", packed, Augment(flip=True))
    assert made["draws_0"].shape == (4, 1, 200, 256)
    assert set(np.unique(made["masks_0"])) <= {0, 1}
