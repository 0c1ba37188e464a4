"""`foldwise app`: the page says what `predict` says, shows the nearest training images, and answers nobody else."""

import csv
import http.client
import io
import json
from types import SimpleNamespace
from urllib.parse import urlsplit

import numpy as np
import pytest
import tifffile
from browsing import opened, saved
from PIL import Image

import foldwise
from foldwise.errors import RunError
from foldwise.learning.nearest import Neighbours
from foldwise.learning.predict import predict_images
from foldwise.pipeline import trying as module
from foldwise.pipeline.trying import trying
from foldwise.sealed import read_table

STUDY = """
study: tiny
title: "Cells <script>alert(1)</script>"
threads: 1
data: {phantom: {kind: %s, images: 12, size: 32, difficulty: 0.3}}
compare: {model: [%s]}
train: {epochs: 1, batch_size: 4}
validate: {folds: 2}
judge: {metric: %s}
"""
KINDS = {
    "labels": ("gels", "{conv: {width: 4, depth: 2}}, {conv: {width: 2, depth: 1}}", "accuracy"),
    "masks": (
        "nuclei",
        "{unet: {width: 2, depth: 1}}, {unet: {width: 4, depth: 1}}",
        "dice_img_macro",
    ),
}


@pytest.fixture(scope="module", params=KINDS)
def run(request, tmp_path_factory):
    """A run folder whose images are in the cache."""
    root = tmp_path_factory.mktemp("tried")
    (root / "study.yaml").write_text(STUDY % KINDS[request.param])
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("FOLDWISE_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        patched.chdir(root)
        foldwise.run("study.yaml", launcher="inline", device="cpu")
    return root / "runs/tiny"


@pytest.fixture
def images(tmp_path):
    """New images, as TIFF and PNG, and one that cannot be read."""
    folder = tmp_path / "new"
    folder.mkdir()
    for number in range(2):
        pixels = np.random.default_rng(number).integers(0, 255, (32, 32)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    tifffile.imwrite(folder / "=a.tif", np.rot90(pixels).copy())
    return folder


def test_the_page_says_what_predict_says(run, images, tmp_path, chromium, monkeypatch):
    monkeypatch.setattr(module, "MAX_BYTES", 10_000)
    predict_images(run / "winner", images, tmp_path / "ours", device="cpu", runtime="torch")
    (images / "<i>.png").write_bytes(b"no image")
    (images / "large.png").write_bytes(bytes(10_001))
    with trying(run, device="cpu") as address:
        page = opened(chromium, address, viewport={"width": 390, "height": 800})
        page.wait_for_selector("html[data-ready=yes]")
        page.set_input_files("#files", [str(path) for path in sorted(images.iterdir())])
        page.wait_for_function("() => document.querySelectorAll('article').length === 5")
        assert "more than 0 MB" in page.locator("article", has_text="large.png").inner_text()
        assert "cannot be predicted" in page.locator("article", has_text="<i>.png").inner_text()
        _, text = saved(page, page.get_by_role("button", name="Save all predictions as CSV"))
        theirs = {row["image"]: row for row in csv.DictReader(io.StringIO(text))}
        ours = {row["image"]: row for row in read_table(tmp_path / "ours" / "predictions.csv")}
        assert set(theirs) == {"0.png", "1.png", "'=a.tif"}
        for name, row in ours.items():
            other = theirs["'=a.tif" if name == "=a.tif" else name]
            for column in set(row) & set(other) - {"image"}:
                if column in ("predicted", "warning", "mask"):
                    assert other[column] == row[column]
                else:
                    assert float(other[column]) == pytest.approx(float(row[column]), abs=2e-6)
        near = (
            page.locator("article").filter(has=page.get_by_role("heading", name="1.png")).locator(".near li")
        )
        assert near.count() == 6
        assert "Among all 12 training images" in page.locator("main").inner_text()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert page.locator("h1").inner_text() == "Cells <script>alert(1)</script>"
        # What cannot be read is answered with 422, which browsers write down.
        assert all("422" in text for text in page.said), page.said
        assert all(url.startswith((address, "data:", "blob:")) for url in page.asked)
        page.context.close()


def asked(address, path, *, method="GET", body=None, **headers):
    """The status and the text of an answer."""
    split = urlsplit(address)
    connection = http.client.HTTPConnection(split.hostname, split.port, timeout=30)
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


@pytest.fixture
def served():
    """The address of a page behind which there is no model, and what it was sent."""
    sent = []
    tried = SimpleNamespace(
        page="the page", lock=module.threading.Lock(), predict=lambda content, name: sent.append((content, name)) or {}
    )  # fmt: skip
    with module.listening(module._handler(tried, "token")) as address:
        yield address, sent


def test_only_who_knows_the_token_and_comes_from_the_page_is_answered(served):
    address, sent = served
    port = urlsplit(address).port
    assert asked(address, "/token/") == (200, "the page")
    for path in ("/", "/tokem/", "/token", "/token/predict", "/token/../token/"):
        assert asked(address, path)[0] == 404
    assert asked(address, "/token/", Host=f"evil.example:{port}")[0] == 403
    post = {"method": "POST", "body": b"x"}
    assert asked(address, "/predict", **post)[0] == 404
    assert asked(address, "/token/predict", **post, Origin="http://evil.example")[0] == 403
    assert asked(address, "/token/predict", **post, Origin="null")[0] == 403
    assert sent == []
    own = {"Origin": f"http://127.0.0.1:{port}", "X-Name": "a%20b.png"}
    assert asked(address, "/token/predict", **post, **own) == (200, "{}")
    assert sent == [(b"x", "a b.png")]


def test_what_is_sent_is_bounded(served, monkeypatch):
    address, sent = served
    monkeypatch.setattr(module, "MAX_BYTES", 4)
    status, text = asked(address, "/token/predict", method="POST", body=b"12345")
    assert status == 413
    assert "Use foldwise predict" in json.loads(text)["problem"]
    assert asked(address, "/token/predict", method="POST", **{"Content-Length": "-1"})[0] == 411
    assert sent == []


def test_a_port_that_is_taken_is_said(served):
    with (
        pytest.raises(RunError, match="cannot be used"),
        module.listening(module.Handler, urlsplit(served[0]).port),
    ):
        pass


class Packed(list):
    image = list.__getitem__


def test_nearest_is_by_features_or_else_by_probabilities():
    pictures = [np.full((1, 4, 4), value, np.uint8) for value in (0, 50, 100, 150, 200)]
    model = SimpleNamespace(task="multiclass_segmentation", resized=False, size_hw=None)

    class Runtime:
        winner = SimpleNamespace(model=model)

        def features(self, images_NCHW):
            return None

        def __call__(self, images_NCHW):
            p = images_NCHW / 255
            return np.concatenate([p, 1 - p], 1)

    by_output = Neighbours(Runtime(), Packed(pictures))
    near = by_output.nearest(np.full((1, 4, 4), 60, np.uint8))
    assert [other.case for other in near] == [1, 2, 0, 3, 4]
    assert near[0].similarity == pytest.approx(1 - 10 / 255)
    assert by_output.sentence().startswith("Among all 5 training images, by the predicted probabilities")

    class WithFeatures(Runtime):
        def features(self, images_NCHW):
            angle = images_NCHW.mean() / 255
            return 3 * np.array([np.cos(angle), np.sin(angle)])

    by_features = Neighbours(WithFeatures(), Packed(pictures), seconds=-1)
    assert len(by_features.cases) == 1
    (only,) = by_features.nearest(np.full((1, 4, 4), 60, np.uint8))
    assert only.similarity == pytest.approx(np.cos((60 - 50 * only.case) / 255))
    assert by_features.sentence().startswith("Among 1 of 5 training images, by features")
