"""Speeds in the verdict: those that were measured, and those that failed with why."""

from foldwise.judging.sections.auxiliary import throughput_section
from foldwise.judging.verdict_configurations import SpeedPoint
from foldwise.runs.folder import RunFolder, read_auxiliary, write_json
from foldwise.runs.items import Item
from foldwise.runs.plan import Plan
from foldwise.study.spec import Training

POINT = {
    "batch_size": 4,
    "train": None,
    "limit": None,
    "inference": None,
    "peak_memory_mb": None,
    "problem": "out of memory",
}


def test_what_is_done_or_failed_is_told_in_plan_order(tmp_path):
    folder = RunFolder(tmp_path)
    items = [
        Item(f"measure-{cache}", "measure", (), f"speed of conv, cache {cache}", {
            "training": Training.model_validate(
                {"model": {"conv": {"width": 4}}, "cache": cache}
            ).model_dump(mode="json")
        })
        for cache in ("memory", "disk", "none")
    ]  # fmt: skip
    fit = Item("fit-1", "fit", (), "a fit", {})
    folder.save_plan(Plan((fit, *items), ()))
    for name, result in (
        ("fit-1", {"status": "done", "points": [1]}),
        ("measure-none", {"status": "done", "error": None, "held": "none", "points": [POINT]}),
        ("measure-memory", {"status": "failed", "error": {"message": "no room"}}),
    ):
        folder.done(name).mkdir(parents=True)
        write_json(folder.done(name) / "result.json", result)
    told = throughput_section(read_auxiliary(folder, folder.load_plan()))
    assert [(row.model, row.cache, row.error) for row in told] == [
        ("conv (width 4)", "memory", "no room"),
        ("conv (width 4)", "none", None),
    ]
    assert (told[0].points, told[1].points) == (None, (SpeedPoint(**POINT),))
