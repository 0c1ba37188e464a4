"""What is called unlike the training images: seldom of images like them, and nearly always of grossly changed ones."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter
from scipy.spatial.distance import cdist

from foldwise.data import novelty
from foldwise.data.formats.pixels import resize_image
from foldwise.data.novelty import NONE, UNLIKE, TrainingImages, numbers_of, numbers_of_parts

REAL = Path(__file__).parents[3] / "shared" / "data"
CHANNELS = 3


def drawn(rng, size=64):
    """(3, H, W) uint8: some blurred dots on a ground, in another light each time."""
    ground, light = rng.uniform(20, 40), rng.uniform(0.8, 1.2)
    values = np.full((size, size), ground)
    y, x = np.mgrid[:size, :size]
    for _ in range(rng.integers(4, 9)):
        far = (y - rng.uniform(0, size)) ** 2 + (x - rng.uniform(0, size)) ** 2
        values += 90 * np.exp(-far / 2 / rng.uniform(3, 5) ** 2)
    colours = np.array([1.0, 0.7, 0.4])[:, None, None] * light
    return np.clip(values * colours + rng.normal(0, 4, (CHANNELS, size, size)), 0, 255).astype(np.uint8)


def of(images, groups=None):
    return TrainingImages(
        np.array([numbers_of(image) for image in images]),
        np.arange(len(images)) if groups is None else np.asarray(groups),
    )


@pytest.fixture(scope="module")
def training():
    rng = np.random.default_rng(0)
    return of([drawn(rng) for _ in range(120)])


def blurred(image):
    return np.stack(
        [np.asarray(Image.fromarray(plane).filter(ImageFilter.GaussianBlur(3))) for plane in image]
    )


CHANGES = {
    "its negative would be": lambda image: 255 - image,
    "darker": lambda image: image // 16,
    "blurred (enlarged)": lambda image: resize_image(image[:, 16:48, 16:48], (64, 64)),
    "no training image": lambda image: np.full_like(image, 30),
    "noisier": lambda image: np.clip(
        image + np.random.default_rng(1).normal(0, 60, image.shape), 0, 255
    ).astype(np.uint8),
    "blurred": blurred,
    "colour": lambda image: image[[2, 0, 1]],
}


NAMED = {
    "its negative would be": ("its negative would be like them",),
    "darker": ("darker", "contrast"),
    "no training image": ("all its pixels are alike",),
    "blurred": ("blurred",),
    "colour": ("red", "green", "blue"),
}


@pytest.mark.parametrize("why", CHANGES)
def test_gross_changes_are_found_and_most_are_named(training, why):
    rng = np.random.default_rng(7)
    judged = [training.novelty(CHANGES[why](drawn(rng))) for _ in range(8)]
    assert all(each.is_unlike and each.p <= 0.01 for each in judged)
    if why in NAMED:
        assert sum(any(word in each.why for word in NAMED[why]) for each in judged) >= 5
    assert all(own.warning[0].startswith(f"{UNLIKE}: ") for own in judged)


def test_another_bit_depth_is_named():
    rng = np.random.default_rng(0)

    def deep():
        return drawn(rng).astype(np.uint16) * 16 + rng.integers(0, 16, (CHANNELS, 64, 64)).astype(np.uint16)

    like = of([deep() for _ in range(100)])
    assert sum(like.novelty(deep()).is_unlike for _ in range(10)) <= 1
    for change, words in ((lambda x: x // 16, "brighter"), (lambda x: x * 16, "darker")):
        judged = [like.novelty(change(deep())) for _ in range(6)]
        assert all(each.is_unlike for each in judged)
        named = f"16 times {words} it would be like them (another bit depth or exposure?)"
        assert sum(each.why == named for each in judged) >= 4


@pytest.mark.parametrize(("number", "group_size"), [(20, 1), (60, 1), (120, 1), (60, 3)])
def test_images_like_them_are_seldom_called_unlike(number, group_size):
    """Of new images, in groups that share their light, at most 1 %, or 1 in so many groups and one more."""
    rng = np.random.default_rng(3)
    numbers, shares = 16, []
    for _ in range(30):
        shared = rng.normal(size=(number // group_size + 200, 1, numbers))
        own = rng.normal(size=(number // group_size + 200, group_size, numbers))
        values = np.exp(0.4 * (shared + 0.5 * own)).reshape(-1, numbers)
        like = TrainingImages(values[:number], np.arange(number) // group_size)
        shares.append(np.mean([like.novelty_of(each).is_unlike for each in values[number::group_size]]))
    limit = max(0.01, 1 / (number // group_size + 1))
    assert np.mean(shares) <= limit + 2 * np.std(shares) / np.sqrt(len(shares))


def test_p_is_the_rank_among_distances_of_training_images_to_each_other():
    rng = np.random.default_rng(5)
    values = rng.normal(size=(40, 6))
    like = TrainingImages(values, np.arange(40))
    scaled = like._scaled(values)
    apart = cdist(scaled, scaled) / np.sqrt(6)
    np.fill_diagonal(apart, np.inf)
    usual = np.sort(apart, axis=1)[:, :3].mean(1)
    for _ in range(20):
        new = rng.normal(size=6) * rng.uniform(0.5, 3)
        own = np.sort(cdist(like._scaled(new)[None], scaled)[0] / np.sqrt(6))[:3].mean()
        assert like.novelty_of(new).p == pytest.approx((1 + (usual >= own).sum()) / 41)


def test_parts_of_a_large_image_say_about_what_the_whole_says(monkeypatch):
    image = drawn(np.random.default_rng(2), 512)
    whole = numbers_of(image)
    monkeypatch.setattr(novelty, "FULL_PX", 2**12)
    monkeypatch.setattr(novelty, "PATCH_PX", 128)
    read = []

    def window(top, bottom, left, right):
        read.append((bottom - top) * (right - left))
        return image[:, top:bottom, left:right]

    parts = numbers_of_parts(image.shape, window)
    assert max(read) == 128**2
    np.testing.assert_allclose(parts, whole, atol=0.1)


def test_of_few_groups_a_change_that_explains_nothing_is_not_named():
    rng = np.random.default_rng(0)
    like = of([drawn(rng) for _ in range(14)])
    judged = [like.novelty(blurred(drawn(rng))) for _ in range(6)]
    assert any(each.is_unlike for each in judged)
    assert not any("like them" in each.why for each in judged)


def test_few_training_images_say_nothing(training):
    few = TrainingImages(training.numbers_NF[:9], training.groups_N[:9])
    for like in (few, NONE):
        assert like.novelty(np.full((CHANNELS, 64, 64), 255, np.uint8)).p is None
        assert like.novelty_of(training.numbers_NF[0]).cell == ""


def test_small_blank_and_odd_images_have_numbers(training):
    for image in (
        np.zeros((CHANNELS, 64, 64), np.uint8),
        np.ones((CHANNELS, 1, 1), np.uint8),
        np.full((CHANNELS, 3, 400), 7, np.uint8),
    ):
        assert training.novelty(image).is_unlike
    assert np.isfinite(numbers_of(np.zeros((1, 64, 64), np.float32))[:5]).all()


def test_the_sentence_names_images_and_the_commonest_reasons(training):
    said = {
        "a.png": [f"{UNLIKE}: x"],
        "b.png": ["low certainty"],
        "c.png": [f"{UNLIKE}: x", "y"],
        "d.png": [f"{UNLIKE}: z"],
    }
    [sentence] = training.sentence(said)
    assert "3 of 4 images are unlike the training images: a.png, c.png" in sentence
    assert "Why: x (2 of them); z (1 of them)." in sentence
    assert "at most 1 % are called so" in sentence
    assert training.sentence({"b.png": ["low certainty"]}) == []


@pytest.mark.skipif(not REAL.is_dir(), reason="the real data sets are not here")
@pytest.mark.parametrize(
    ("folder", "mode", "group"), [("isbi2012_em_membrane", "L", None), ("chase_db1_vessels", "RGB", 8)]
)
def test_real_images_are_like_those_of_their_own_set_and_their_negatives_are_not(folder, mode, group):
    paths = sorted((REAL / folder / "images").iterdir())
    images = [np.asarray(Image.open(path).convert(mode).resize((256, 256))) for path in paths]
    images = [image[None] if mode == "L" else image.transpose(2, 0, 1) for image in images]
    groups = np.unique([path.name[:group] if group else path.name for path in paths], return_inverse=True)[1]
    called, fold_of = 0, np.random.default_rng(0).permutation(groups.max() + 1)[groups] % 5
    for fold in range(5):
        like = of(
            [image for image, own in zip(images, fold_of, strict=True) if own != fold],
            groups[fold_of != fold],
        )
        called += sum(like.novelty(images[k]).is_unlike for k in np.flatnonzero(fold_of == fold))
    assert called <= 2
    like = of(images, groups)
    judged = [like.novelty(255 - image) for image in images[::5]]
    assert all(each.is_unlike and "negative" in each.why for each in judged)
