"""Copies of pictures: groups against every pair compared by itself, and sets in which thousands look alike."""

from itertools import combinations

import numpy as np
import pytest
from scipy.ndimage import uniform_filter, zoom
from small_packed import SmallPacked, texture

from foldwise.data.audit.audit import copy_findings
from foldwise.data.audit.copies import MAX_COMPARED, WITHIN_BITS, Copies, clusters, find_copies
from foldwise.data.audit.likeness import MIN_DETAIL, MIN_WHOLE, Likeness
from foldwise.data.cache.measures import NUM_TURNS, thumbnail, turned
from foldwise.data.cases import Case, Dataset


def planted(seed):
    """Pictures, and some of them again: turned, noisy, cut, of another size or exposure."""
    rng = np.random.default_rng(seed)
    size = int(rng.integers(96, 130))  # at least 64 pixels also where it is made smaller
    images = [texture(100 * seed + k, (size, size + 7), scale=rng.uniform(2, 6)) for k in range(6)]
    for _ in range(5):
        image, factor = images[rng.integers(len(images))].astype(float), rng.uniform(0.7, 1.4)
        edge = int(rng.integers(1, 4))
        images.append(
            [
                lambda image=image: turned(image, int(rng.integers(NUM_TURNS))),
                lambda image=image: image + rng.normal(0, rng.uniform(0, 25), image.shape),
                lambda image=image, edge=edge: image[:, edge:, edge // 2 :],
                lambda image=image, factor=factor: np.stack(
                    [zoom(channel, factor, order=1) for channel in image]
                ),
                lambda image=image, factor=factor: image * factor - 10,
            ][rng.integers(5)]()
            .clip(0, 255)
            .astype(np.uint8)
        )
    return [images[k] for k in rng.permutation(len(images))]


def camera(num, seed=0, size=72):
    """One background with objects before it, as a camera that does not move sees them."""
    rng, (y, x) = np.random.default_rng(seed), np.mgrid[:size, :size]
    background, images = texture(seed, (size, size), scale=4.0)[0].astype(float), []
    for _ in range(num):
        (row, column), radius = rng.uniform(8, size - 8, 2), rng.uniform(3, 5)
        spot = 60 * np.exp(-((y - row) ** 2 + (x - column) ** 2) / 2 / radius**2)
        images.append((background + spot + rng.normal(0, 4, spot.shape)).clip(0, 255).astype(np.uint8)[None])
    return images


def every_pair(images):
    """The pairs of copies, each two pictures in each turn compared by `numpy.corrcoef`."""
    packed = SmallPacked(images)

    def standard(image):
        return (image - image.mean()) / image.std()

    def detail(image):
        fine = image - uniform_filter(image, 13, mode="nearest")
        return fine / (np.sqrt(np.maximum(uniform_filter(fine**2, 13, mode="nearest"), 0)) + 0.1)

    small = [standard(thumbnail(image, 64)) for image in images]
    details = [detail(image) for image in small]
    halves = [image.reshape(32, 2, 32, 2).mean(axis=(1, 3)) for image in small]
    common = np.mean([turned(image, turn) for image in details for turn in range(NUM_TURNS)], axis=0)
    own = [image - (image * common).sum() / (common**2).sum() * common for image in details]

    def correlation(first, second):
        return np.corrcoef(first.ravel(), second.ravel())[0, 1]

    def shifted(first, second):
        near = range(-2, 3)
        return max(
            correlation(
                first[max(down, 0) : 64 + min(down, 0), max(right, 0) : 64 + min(right, 0)],
                second[max(-down, 0) : 64 + min(-down, 0), max(-right, 0) : 64 + min(-right, 0)],
            )
            for down in near
            for right in near
        )

    def copies(i, j, turn):
        first, second = (int(packed.measures[k].fingerprints[t], 16) for k, t in ((i, 0), (j, turn)))
        if (first ^ second).bit_count() > WITHIN_BITS:
            return False
        whole = correlation(halves[i], turned(halves[j], turn))
        unshifted = correlation(own[i], turned(own[j], turn))
        return (
            whole >= MIN_WHOLE and unshifted >= 0.35 and shifted(own[i], turned(own[j], turn)) >= MIN_DETAIL
        )

    return [
        (i, j)
        for i, j in combinations(range(len(images)), 2)
        if any(copies(i, j, turn) for turn in range(NUM_TURNS))
    ]


@pytest.mark.parametrize("batch", range(4))
def test_copies_are_those_that_every_pair_compared_by_itself_gives(batch):
    found = 0
    for seed in range(25 * batch, 25 * (batch + 1)):
        images = planted(seed)
        copies = find_copies(SmallPacked(images))
        distinct = [k for k in range(len(images)) if all(k not in cluster[1:] for cluster in copies.exact)]
        wanted = [(distinct[i], distinct[j]) for i, j in every_pair([images[k] for k in distinct])]
        # What is common is taken from all images, so with exact copies it is not quite that of the distinct ones.
        if len(distinct) == len(images):
            assert list(copies.near) == wanted
            found += len(wanted)
    assert found > 40


def test_of_a_picture_that_many_images_show_not_every_pair_is_compared_and_they_are_joined_all_the_same(
    monkeypatch,
):
    compared = 0
    same = Likeness.same

    def counted(self, first, second, turn):
        nonlocal compared
        compared += len(first)
        return same(self, first, second, turn)

    monkeypatch.setattr(Likeness, "same", counted)
    several = [*camera(700), *camera(300, seed=1), *(texture(50 + k, (72, 72)) for k in range(20))]
    copies = find_copies(SmallPacked([several[k] for k in np.random.default_rng(0).permutation(1020)]))
    assert sorted(len(members) for members in clusters(copies.links(), total=1020)) == [300, 700]
    assert compared < 10_000  # of 290,000 pairs
    assert not copies.cut_short


def test_pictures_of_a_few_copies_have_every_pair_of_them():
    images = camera(MAX_COMPARED)
    pairs = find_copies(SmallPacked(images)).near
    assert len(pairs) > 0.9 * len(images) * (len(images) - 1) / 2


def test_where_too_many_look_alike_without_being_copies_shifts_end_and_that_is_said(monkeypatch):
    monkeypatch.setattr("foldwise.data.audit.likeness._MAX_IN_VAIN", 0)
    copies = find_copies(SmallPacked(camera(3)))
    assert copies == Copies((), (), cut_short=True)


def test_a_crowd_is_a_finding_of_its_own():
    images = [*camera(40), texture(9, (72, 72)), texture(9, (72, 72)) // 2 + 20]
    packed = SmallPacked(images)
    cases = tuple(Case(k, f"{k}.png", f"{k}.png", None, (0,), None) for k in range(len(images)))
    dataset = Dataset(None, "binary_classification", ("a", "b"), cases, "table", (), None)
    findings = {f.code: f for f in copy_findings(dataset, packed, find_copies(packed), grouped=True)}
    assert set(findings) == {"near_duplicates", "one_picture"}
    assert findings["near_duplicates"].cases == ("40.png", "41.png")
    crowd = findings["one_picture"]
    assert crowd.severity == "warning"
    assert crowd.message == (
        "40 images (0.png, 1.png, 2.png, 37 more) look like one picture, as those of a camera that does not move do."
    )
    assert crowd.cure == (
        "They are kept in one fold, so that no model is tested on what it was trained on. Look at a few: where "
        "different specimens lie before one background, state validate.near_duplicates: ignore, and state by validate.group "
        "what belongs together."
    )
    ignored = {f.code: f for f in copy_findings(dataset, packed, find_copies(packed), grouped=False)}
    assert "background, leave validate.near_duplicates: ignore, and state by" in ignored["one_picture"].cure
