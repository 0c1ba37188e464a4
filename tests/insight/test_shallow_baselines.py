"""Shallow baselines: what scikit-learn gives for the same pixels, on filters that are what they are called."""

import numpy as np
import pytest
from fits_to_try import SPLIT, tiny
from jobs import job
from scipy.ndimage import gaussian_filter, gaussian_gradient_magnitude, gaussian_laplace
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, confusion_matrix
from sklearn.preprocessing import StandardScaler

from foldwise.errors import DataError, SpecError
from foldwise.insight.shallow_baselines import (
    BASELINES,
    check_baseline,
    pixel_features,
    sample,
    shallow_item,
    strips,
)
from foldwise.study.training import Choice

IMAGE = np.random.default_rng(3).random((2, 60, 50), dtype=np.float32)
SMALL = {"random_forest": {"trees": 5}, "boosted_trees": {"trees": 5}}


def do(folder, packed, name, **options):
    folder.mkdir()
    settings = {"baseline": {"name": name, "options": {"pixels": 600} | options}, "seed": 2**62 + 5}
    result = shallow_item(job(settings, folder, packed=packed, split=SPLIT))
    with (
        np.load(folder / "scores.npz", allow_pickle=False) as arrays,
        np.load(folder / "predictions.npz", allow_pickle=False) as maps,
    ):
        return result, dict(arrays), dict(maps)


def test_the_features_are_those_of_scipy():
    made = pixel_features(IMAGE)
    assert made.shape == (60, 50, 64)
    assert made.dtype == np.float32
    image, first = IMAGE[1], made[:, :, 32:]
    np.testing.assert_array_equal(first[:, :, 0], image)
    for place, sigma in enumerate((1, 2, 4, 8)):
        told = first[:, :, 1 + 7 * place : 8 + 7 * place]
        options = {"mode": "nearest"}
        np.testing.assert_allclose(told[:, :, 0], gaussian_filter(image, sigma, **options), atol=1e-6)
        np.testing.assert_allclose(
            told[:, :, 1], gaussian_gradient_magnitude(image, sigma, **options), atol=1e-6
        )
        np.testing.assert_allclose(told[:, :, 2], gaussian_laplace(image, sigma, **options), atol=1e-5)
        hessian = [
            gaussian_filter(image, sigma, order=order, **options) for order in ((2, 0), (1, 1), (0, 2))
        ]
        np.testing.assert_allclose(told[:, :, 3:5], eigenvalues(*hessian), atol=1e-5)
        dy, dx = (gaussian_filter(image, sigma, order=order, **options) for order in ((1, 0), (0, 1)))
        tensor = [gaussian_filter(product, sigma, **options) for product in (dy * dy, dy * dx, dx * dx)]
        np.testing.assert_allclose(told[:, :, 5:7], eigenvalues(*tensor), atol=1e-6)
    np.testing.assert_allclose(first[:, :, 29], first[:, :, 1] - first[:, :, 8], atol=1e-6)


def eigenvalues(a, b, c):
    matrices = np.stack([np.stack([a, b], -1), np.stack([b, c], -1)], -2)
    return np.linalg.eigvalsh(matrices)[..., ::-1]


def test_strips_are_the_whole_image():
    image = np.random.default_rng(1).random((1, 230, 20), dtype=np.float32)
    parts = list(strips(image, most_pixels=45 * 20))
    assert [(rows.start, rows.stop) for rows, _ in parts] == [
        (0, 45),
        (45, 90),
        (90, 135),
        (135, 180),
        (180, 225),
        (225, 230),
    ]
    np.testing.assert_array_equal(np.concatenate([features for _, features in parts]), pixel_features(image))


@pytest.mark.parametrize("task", ["binary_segmentation", "multiclass_segmentation"])
@pytest.mark.parametrize("name", BASELINES)
def test_scores_are_those_of_scikit_learn_on_the_same_pixels(tmp_path, task, name):
    packed, options = tiny(task), SMALL.get(name, {})
    result, scores, maps = do(tmp_path / "a", packed, name, **options)
    seed = (2**62 + 5) % 2**32
    features, classes = sample(packed, SPLIT.train, 600, seed)
    own = {
        "logistic_regression": lambda: LogisticRegression(max_iter=1000),
        "random_forest": lambda: RandomForestClassifier(5, min_samples_leaf=5, random_state=seed),
        "boosted_trees": lambda: HistGradientBoostingClassifier(
            max_iter=5, early_stopping=False, random_state=seed
        ),
    }[name]()
    scaler = StandardScaler().fit(features)
    scale = scaler.transform if name == "logistic_regression" else np.asarray
    own.fit(scale(features), classes)
    labels, K = range(len(packed.classes)), len(packed.classes)
    assert scores["case"].tolist() == SPLIT.test.tolist()
    for row, case in enumerate(SPLIT.test.tolist()):
        seen = pixel_features(packed.image(case).astype(np.float32) / np.float32(255)).reshape(256, -1)
        true, said = packed.target(case).ravel(), own.predict_proba(scale(seen))
        assert np.array_equal(maps[str(case)].ravel(), said.argmax(1))
        assert np.array_equal(scores["confusion"][row], confusion_matrix(true, said.argmax(1), labels=labels))
        expected = -np.log(said[np.arange(256), true].clip(1e-7)).sum()
        assert scores["log_loss_sum"][row] == pytest.approx(expected, rel=1e-3)
        squares = ((said - np.eye(K)[true]) ** 2).sum()
        expected = brier_score_loss(true, said[:, 1]) * 256 if K == 2 else squares
        assert scores["brier_sum"][row] == pytest.approx(expected, rel=1e-4)
    assert scores["histogram"].sum() == len(SPLIT.test) * 256 * K
    assert result["pixels"] == len(classes) == 600


@pytest.mark.parametrize("name", BASELINES)
def test_the_same_baseline_gives_the_same_numbers(tmp_path, name):
    packed = tiny("multiclass_segmentation")
    _, first, _ = do(tmp_path / "a", packed, name, **SMALL.get(name, {}))
    _, again, _ = do(tmp_path / "b", packed, name, **SMALL.get(name, {}))
    assert all(np.array_equal(first[key], again[key]) for key in first)


def test_the_sample_has_every_class_in_its_share_and_only_training_pixels():
    packed = tiny("multiclass_segmentation")
    total = np.sum([packed.measures[case].class_pixels for case in SPLIT.train], axis=0)
    features, classes = sample(packed, SPLIT.train, 900, 1)
    counted = np.bincount(classes, minlength=3)
    np.testing.assert_allclose(counted, 900 * total / total.sum(), atol=1)
    allowed = np.concatenate([packed.image(case).ravel() for case in SPLIT.train]) / np.float32(255)
    assert np.isin(features[:, 0], allowed.astype(np.float32)).all()
    everything, all_classes = sample(packed, SPLIT.train, 10**9, 1)
    assert np.bincount(all_classes).tolist() == total.tolist()
    assert len(np.unique(everything, axis=0)) > 3000


def test_pixels_that_are_not_known_are_neither_learned_from_nor_scored(tmp_path):
    packed = tiny("binary_segmentation")
    for case in range(len(packed)):
        packed._targets[case][:, 8:] = 255
        packed.measures[case].class_pixels = tuple(
            np.bincount(packed._targets[case][:, :8].ravel(), minlength=2)
        )
    _, scores, _ = do(tmp_path / "a", packed, "logistic_regression", pixels=10**6)
    assert (scores["confusion"].sum((1, 2)) == 128).all()
    _, classes = sample(packed, SPLIT.train, 10**6, 0)
    assert len(classes) == 128 * len(SPLIT.train)


def test_a_class_that_training_lacks_is_given_no_probability(tmp_path):
    packed = tiny("multiclass_segmentation")
    for case in SPLIT.train:
        packed._targets[case][packed._targets[case] == 2] = 1
        packed.measures[case].class_pixels = tuple(np.bincount(packed._targets[case].ravel(), minlength=3))
    _, scores, maps = do(tmp_path / "a", packed, "random_forest", trees=3)
    assert not scores["confusion"][:, :, 2].any()
    assert max(labels.max() for labels in maps.values()) <= 1


def test_one_class_alone_cannot_be_learned(tmp_path):
    packed = tiny("binary_segmentation")
    for case in SPLIT.train:
        packed._targets[case][:] = 0
        packed.measures[case].class_pixels = (256, 0)
    with pytest.raises(DataError, match="all training pixels are of one class"):
        do(tmp_path / "a", packed, "random_forest")


def test_names_and_options_are_checked():
    assert check_baseline(Choice(name="random_forest", options={"trees": 9})) == {"trees": 9}
    with pytest.raises(SpecError, match="no baseline is called 'random_forrest'") as caught:
        check_baseline(Choice(name="random_forrest"))
    assert (
        caught.value.cure
        == "Did you mean 'random_forest'? Known: boosted_trees, logistic_regression, random_forest."
    )
    with pytest.raises(SpecError, match="no option of baseline 'random_forest' is called 'depth'"):
        check_baseline(Choice(name="random_forest", options={"depth": 9}))
