import json

from benchmarks.judging import make_run, measured
from benchmarks.rows.judged import same_estimates


def test_a_job_is_measured_and_says_what_came_out():
    made = measured("copies 40")
    assert made.beside == {"groups": [40]}
    assert made.seconds > 0
    assert made.memory_mb > 10


def test_pixels_are_held_against_scikit_learn():
    made = measured("pixels 20000")
    assert max(made.beside["off"]) < 1e-4
    assert made.beside["sklearn_s"] > 0


def test_a_made_up_run_is_judged_and_its_estimates_are_those_of_scikit_learn(tmp_path):
    run = make_run(tmp_path / "run", {"a": 2, "b": 2}, repeats=2, images=20)
    assert measured(f"judge {run}").beside == {"fits": 40}
    verdict = json.loads((run / "verdict.json").read_text())
    assert [factor["factor"] for factor in verdict["factors"]["factors"]] == ["a", "b"]
    assert same_estimates(run).is_equal
    verdict["configurations"][0]["estimate"] += 1e-6
    (run / "verdict.json").write_text(json.dumps(verdict))
    assert not same_estimates(run).is_equal
