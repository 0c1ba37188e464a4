"""What mattered and the map of metrics: what is shown, when, and where the marks stand."""

import re
from dataclasses import replace
from types import SimpleNamespace

import pytest
from altered import altered
from make_run import MARKUP, RUNS, make_run

from foldwise.judging.verdict_sections import LevelPair
from foldwise.reporting.drawing.rows import bar_cell
from foldwise.reporting.drawing.svg import Scale
from foldwise.reporting.report import render
from foldwise.reporting.report_data import gather
from foldwise.reporting.sections.verdict import factors, metrics
from foldwise.reporting.sections.verdict.factors import Away, LevelRow, factor_chart, panels


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    wanted = RUNS["classification24"]
    patch = pytest.MonkeyPatch()
    root = tmp_path_factory.mktemp("factors")
    patch.setenv("FOLDWISE_CACHE", str(root / "cache"))
    made = make_run(root / "run", replace(wanted, images=40, folds=2, epochs=2))
    yield gather(made[0] if isinstance(made, tuple) else made)
    patch.undo()


def test_every_factor_has_its_drawing_and_its_share(data):
    held = factors.section(data)["factors"]
    assert [chart["name"] for chart in held["charts"]] == ["model", "head", "optimizer"]
    for chart in held["charts"]:
        assert chart["sentence"]
        assert chart["drawing"].count('class="matched"') == (4 if chart["name"] == "model" else 12)
    assert sum(part["share"] for part in held["parts"]) <= 1 + 1e-9


def test_a_single_factor_and_two_configurations_are_left_to_the_leaderboard(data):
    effects = data.verdict.dump()["factors"]
    single, two = effects | {"factors": effects["factors"][:1]}, effects | {"num_compared": 2}
    for changed in (single, two, None):
        assert factors.section(altered(data, factors=changed)) is None


def chart(rows, sets, **heads):
    scales = panels([0.5, 0.9], [-0.4, 0.0], longest=10)
    assert scales.saved > 100
    return scales, factor_chart(rows, sets, scales, title="t", heads=("score", "apart", ("training",)))


def test_levels_stand_where_their_numbers_say():
    rows = [
        LevelRow("best", 0.9, "0.900", None, ((2.0, "2 s"),)),
        LevelRow(MARKUP, 0.5, "0.500", Away(-0.4, -0.5, -0.3, worse=True), ((1.0, "1 s"),)),
        LevelRow("odd", None, "–", Away(None), ((None, "–"),)),
    ]
    scales, drawn = chart(rows, [[0.9, 0.5, None]])
    points = re.search(r'points="([^"]*)" class="matched"', drawn)[1].split()
    assert [float(point.split(",")[0]) for point in points] == pytest.approx(
        [scales.scores(0.9), scales.scores(0.5)], abs=0.06
    )
    assert "not estimable" in drawn
    assert MARKUP not in drawn
    assert "&lt;script&gt;" in drawn
    widths = [float(width) for width in re.findall(r'width="([\d.]+)" height="12" class="count"', drawn)]
    assert widths[0] == pytest.approx(2 * widths[1])


def test_differences_are_to_the_best_whichever_way_is_better():
    numbers = {"difference": -0.2, "low": -0.3, "high": -0.1, "p": 0.01, "agree": 1, "matched": 1}
    effect = SimpleNamespace(pairs=[LevelPair(a="x", b="y", conclusion="better", **numbers)])
    away = factors._away(effect, "x", "y")
    assert (away.difference, away.low, away.high, away.worse) == (0.2, 0.1, 0.3, True)
    assert factors._away(effect, "x", "x") is None


def test_the_map_is_coloured_by_rank_and_prints_every_number(data):
    held = metrics.section(data)["metrics"]
    assert len(held["rows"]) == 24
    titles = [head["title"] for head in held["heads"]]
    assert titles[0] == "↑\u00a0Balanced accuracy"
    assert any(title.endswith("AUROC") for title in titles)
    for column in range(len(titles)):
        cells = [row["cells"][column] for row in held["rows"]]
        by_value = sorted(cells, key=lambda cell: cell["value"])
        shares = [cell["share"] for cell in by_value]
        assert shares == sorted(shares)
        assert (shares[0], shares[-1]) == (0.0, 1.0)
        assert all(re.fullmatch(r"\d\.\d{3}", cell["shown"]) for cell in cells)
    named = {head["title"][2:]: head["note"] for head in held["heads"]}
    assert named["Precision"] == "of the class 'other'"


def test_metrics_with_the_same_numbers_share_a_column(data):
    shown = data.configurations
    columns = dict(metrics._columns(data, shown, ["recall_macro", "accuracy"]))
    assert columns["balanced_accuracy"] == ["recall_macro"]


def test_bars_begin_at_zero_and_end_at_their_number():
    scale = Scale(0.0, 1.0, 4.0, 104.0)
    drawn = bar_cell(0.25, scale, words="0.25", low=0.2, high=0.3)
    assert 'x="4" y="4" width="25"' in drawn
    assert re.search(r'x1="24" x2="34"[^>]*class="whisker"', drawn)
    assert 'class="count"' not in bar_cell(None, scale, words="–")


def test_columns_of_bars_are_numbers_on_one_axis(data):
    """Where bars are drawn by the text of their numbers, their steps are unequal: here a bar is as long as its value."""
    held = metrics.section(data)["metrics"]["bars"]
    assert [head["title"] for head in held["heads"]][-2:] == ["training time", "inference time"]
    paid = [result.cost.train_s for result in data.configurations]
    drawn = [re.search(r'y="4" width="([\d.]+)"', row["cells"][-2]["drawing"]) for row in held["rows"]]
    lengths = [float(found[1]) for found in drawn]
    assert lengths == pytest.approx([100 * one / max(paid) for one in paid], abs=0.11)


def test_both_sections_stand_on_the_page(data):
    page = render(data)
    assert '<section id="factors">' in page
    assert '<section id="metrics">' in page
