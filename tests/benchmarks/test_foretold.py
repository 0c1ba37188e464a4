"""The bench of what is foretold: which items it does, and what its table says."""

from benchmarks.foretold import BUILT_IN, HEAD, REAL, ROOT, Row, chosen, measure, table
from foldwise.pipeline.preparing import prepare
from foldwise.study.reading import open_study


def test_every_study_is_there():
    assert all((ROOT / "studies" / f"{name}.yaml").is_file() for name in BUILT_IN)
    assert all((ROOT / path).is_file() for path in REAL.values())


def test_fits_are_spread_over_configurations_and_come_after_what_they_need():
    plan = prepare(open_study(ROOT / "studies/0-architectures.yaml", (), ("quick",))).plan
    items = list(chosen(plan, 3))
    fits = [item for item in items if item.kind == "fit"]
    assert len({fit.settings["configuration"] for fit in fits}) == 3
    assert {fit.settings["fold"] for fit in fits} == {0}
    done = set()
    for item in items:
        assert set(item.needs) <= done
        done.add(item.id)


def test_a_study_is_measured_and_what_is_far_apart_is_marked():
    row = measure("demo", ROOT / "studies/2-losses.yaml", variants=("quick",), changes=(), fits=1)
    assert (row.study, row.num_items) == ("demo", 1)
    assert min(row.measured_s, row.foretold_s, row.foretold_mb) > 0
    near, far = Row("near", 1, 1.0, 10.0, 6.0, 100.0, 80.0), Row("far", 1, 1.0, 10.0, 4.0, 100.0, 80.0)
    lines = table(HEAD, [near, far]).splitlines()
    assert lines[0].count("|") == len(HEAD) + 1
    assert "near |" in lines[2]
    assert "far * |" in lines[3]
