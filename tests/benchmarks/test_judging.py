import json

from benchmarks.judging import Row, _job, make_run, table_of


def test_a_job_is_measured_and_says_what_came_out():
    made = _job("copies 40")
    assert made["beside"] == "groups of 40"
    assert made["seconds"] > 0
    assert made["memory_mb"] > 10


def test_a_made_up_run_is_judged(tmp_path):
    run = make_run(tmp_path / "run", {"a": 2, "b": 2}, repeats=1, images=20)
    assert _job(f"judge {run}")["beside"] == "20 fits"
    verdict = json.loads((run / "verdict.json").read_text())
    assert [factor["factor"] for factor in verdict["factors"]["factors"]] == ["a", "b"]


def test_growth_is_the_power_of_the_size_since_the_row_before():
    rows = [Row("judge", 10, 1.0, 5.0), Row("judge", 100, 100.0, 5.0), Row("copies", 100, 1.0, 5.0)]
    assert [cells[4] for cells in table_of(rows)] == ["power", "", "2.0", ""]
