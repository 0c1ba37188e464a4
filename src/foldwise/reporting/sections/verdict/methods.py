"""The methods paragraph of a paper, and all that is needed to get the same numbers again."""

from __future__ import annotations

import shlex
from typing import Any

from foldwise.reporting.report_data import ReportData
from foldwise.reporting.wording import TASKS, count, in_text, metric_title, selecting_title


def methods(data: ReportData) -> list[str]:
    """Paragraphs in the past tense, from what was really done."""
    return [_compared(data), _trained(data), _judged(data), _machine(data)]


def _compared(data: ReportData) -> str:
    verdict = data.verdict
    groups, images = int(verdict.get("num_groups") or 0), int(verdict["num_images"])
    grouped = f" from {count(groups, 'group')}" if 0 < groups < images else ""
    unit = "groups" if grouped else "images"
    repeats = int(verdict.get("repeats") or 1)
    again = f" in {repeats} repeats, each with folds of its own" if repeats > 1 else ""
    task = TASKS.get(str(verdict["task"]), str(verdict["task"]))
    stratified = "stratified by class, " if data.validation.stratify else ""
    near = (
        "; near-duplicate images were kept in one fold" if data.validation.near_duplicates == "group" else ""
    )
    return (
        f"{count(len(data.configurations), 'configuration')} for {task} were compared on {count(images, 'image')}{grouped} "
        f"by {verdict['folds']}-fold cross-validation{again}. The folds were {stratified}the same for every "
        f"configuration, and no two folds shared {unit}{near}.{_source(data)}"
    )


def _source(data: ReportData) -> str:
    """What a paper must say of a public data set."""
    source = data.audit.get("source")
    if not source:
        return ""
    return f" The images are of {source['title']} ({source['citation']}; licence: {source['licence']})."


def _trained(data: ReportData) -> str:
    select = next((str(result["select"]) for result in data.results if result.get("select")), "one metric")
    return (
        "In every fold a part of the training images was set aside as inner validation; the epoch was chosen there, by "
        f"{selecting_title(select)}{' (the median of three epochs)' if data.segmentation else ''} for all "
        "configurations alike, and the test images were predicted once, without "
        "augmentation. Seeds were the same for all configurations of a fold, so that comparisons are paired."
        + _decided(data)
        + _pretrained(data)
    )


def _decided(data: ReportData) -> str:
    known = data.verdict.get("thresholds")
    if not known:
        return ""
    return f" From what probability on a label is said was also set on the inner validation of each fold: {known['sentence']}."


def _pretrained(data: ReportData) -> str:
    ways = sorted({str(item.result["by"]) for item in data.auxiliary if item.kind == "pretrain"})
    if not ways:
        return ""
    return (
        f" Where a configuration says so, its network had first been trained without labels ({', '.join(ways)}): to give "
        "damaged images of the training part, and of that alone, back as they were, by the mean squared error."
    )


def _judged(data: ReportData) -> str:
    metric = data.verdict["metric"]
    averaging = f" ({str(metric['averaging']).replace('_', ' ')})" if metric.get("averaging") else ""
    return (
        f"Configurations were ranked by {in_text(metric_title(metric))}{averaging}. Intervals are at {data.confidence} and combine the variance between "
        "images (or groups) with the variance between training runs, the latter inflated for the overlap of training sets "
        "(Nadeau and Bengio 2003). A configuration could be the best when the multiple comparison with the best (Hsu), by the "
        f"joint distribution of all estimates, did not rule it out at {data.alpha * 100:g} %."
    )


def _machine(data: ReportData) -> str:
    environment = data.environment
    packages = environment.get("packages") or {}
    named = ", ".join(
        f"{name} {version}"
        for name, version in packages.items()
        if version and name in ("torch", "timm", "segmentation-models-pytorch")
    )
    devices = sorted(
        {
            str(result.get("cost", {}).get("device_name") or result.get("cost", {}).get("device") or "")
            for result in data.results
        }
        - {""}
    )
    ran = f" on {', '.join(devices)}" if devices else ""
    return f"The study was run with foldwise {environment.get('foldwise', '')}{f' ({named})' if named else ''}{ran}, seed {environment.get('seed', 0)}.".replace(
        "  ", " "
    )


ENVIRONMENT = (
    "foldwise",
    "commit",
    "python",
    "platform",
    "processor",
    "seed",
    "threads",
    "packed_digest",
    "study_digest",
    "splits_digest",
)
MAX_SEEDS = 15


def reproduce(data: ReportData) -> dict[str, Any]:
    """The study file, the commands, and a table of versions, digests and machine."""
    version = data.environment.get("foldwise")
    changes = [f"--variant {shlex.quote(name)}" for name in data.environment.get("variants", [])]
    changes += [f"--set {shlex.quote(change)}" for change in data.environment.get("overrides", [])]
    commands = [
        f"pip install foldwise=={version}" if version else "pip install foldwise",
        " ".join(["foldwise check study.yaml", *changes]),
        " ".join(["foldwise run study.yaml", *changes]),
        f"foldwise report {shlex.quote(data.run_path)}",
    ]
    return {"facts": _facts(data), "study": data.study_text, "commands": "\n".join(commands)}


def _facts(data: ReportData) -> list[tuple[str, str]]:
    environment = data.environment
    known = [key for key in ENVIRONMENT if environment.get(key) is not None]
    facts = [(key.replace("_", " "), str(environment[key])) for key in known]
    facts += [
        (name, str(version)) for name, version in (environment.get("packages") or {}).items() if version
    ]
    told = [result for result in data.results if result.get("seed") is not None]
    seeds = sorted({(int(one.get("repeat", 0)), int(one.get("fold", 0)), int(one["seed"])) for one in told})
    if seeds:
        listed = ", ".join(f"{repeat}.{fold}: {seed}" for repeat, fold, seed in seeds[:MAX_SEEDS])
        facts.append(("seeds by repeat.fold", listed + (" …" if len(seeds) > MAX_SEEDS else "")))
    return facts
