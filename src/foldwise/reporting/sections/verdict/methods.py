"""The methods and results paragraphs of a paper, and all that is needed to get the same numbers again."""

from __future__ import annotations

import shlex
from typing import Any, cast

from foldwise.judging.wording import results
from foldwise.reporting.report_data import ReportData
from foldwise.reporting.wording import TASKS, count, selecting_title
from foldwise.study.named_weights import weights_sentence
from foldwise.study.training import Task, Training, stated_loss
from foldwise.text import in_text

PACKAGES = ("torch", "timm", "segmentation-models-pytorch")  # named in the text; the table has all
ENVIRONMENT = (
    "foldwise", "commit", "python", "platform", "processor", "seed", "threads", "packed_digest", "study_digest",
    "splits_digest",
)  # fmt: skip
MAX_SEEDS = 15
MAX_CODE = 100_000  # letters of a file of own code


def section(data: ReportData) -> dict[str, Any]:
    """Paragraphs in the past tense, from what was really done."""
    if data.task is None:
        version = f"The verdict was made with foldwise {data.environment['foldwise']}."
        return {"methods": [_scores_compared(data), _judged(data), version]}
    made = [_compared(data), _configured(data), _trained(data), _judged(data), _machine(data)]
    return {"methods": [paragraph for paragraph in made if paragraph]}


def _scores_compared(data: ReportData) -> str:
    """What was read of scores from elsewhere, and over what they were compared."""
    verdict = data.verdict
    groups = f" in {count(verdict.num_groups, 'group')}" if verdict.num_groups else ""
    numbers = ((verdict.folds, "fold"), (verdict.repeats, "repeat"))
    runs = "".join(f", {count(number, noun)}" for number, noun in numbers if number > 1)
    size = f"{count(verdict.num_images, 'case')}{groups}{runs}"
    configurations = count(len(data.configurations), "configuration")
    return f"Scores of {configurations} on the same {size} were compared. Read were: {'; '.join(verdict.recognised)}."


def _compared(data: ReportData) -> str:
    verdict = data.verdict
    groups, images = verdict.num_groups or 0, verdict.num_images
    grouped = f" from {count(groups, 'group')}" if 0 < groups < images else ""
    configurations = count(len(data.configurations), "configuration")
    return (
        f"{configurations} for {TASKS[verdict.task or '']} were compared on {count(images, 'image')}{grouped} "
        f"by {_division(data, 'groups' if grouped else 'images')}.{_source(data)}"
    )


def _division(data: ReportData, unit: str) -> str:
    """How images were divided into training and test parts; `unit` is what no two of these share."""
    verdict, folds = data.verdict, data.verdict.folds
    # Copies are a group, unless the study says otherwise.
    near = (
        "; near-duplicate images were kept in one part" if data.validation.near_duplicates == "group" else ""
    )
    apart = f"the same for every configuration, and no two shared {unit}{near}"
    if verdict.split == "given_split":
        sizes = {row["part"]: row["images"] for row in data.statistics if row["repeat"] in ("", "0")}
        counts = ", ".join(
            f"{sizes[part]} {part}" for part in ("train", "validation", "test") if part in sizes
        )
        again = f", each trained {verdict.repeats} times with other seeds" if verdict.repeats > 1 else ""
        return f"one split that was given ({counts}){again}. Its parts were {apart}"
    repeats = ""
    if verdict.split == "dealt_folds" and verdict.repeats > 1:
        repeats = f" in {verdict.repeats} repeats, each with folds of its own"
    elif verdict.repeats > 1:
        repeats = f" in {verdict.repeats} repeats with other seeds"
    ways = {
        "leave_one_group_out": f"leaving one of {folds} groups out at a time",
        "given_folds": f"{folds}-fold cross-validation with folds that were given",
    }
    stratified = (
        "stratified by class, " if data.validation.stratify and verdict.split == "dealt_folds" else ""
    )
    way = ways.get(verdict.split or "", f"{folds}-fold cross-validation")
    return f"{way}{repeats}. The folds were {stratified}{apart}"


def _source(data: ReportData) -> str:
    """What a paper must say of a public data set."""
    source = data.audit.get("source")
    if not source:
        return ""
    return f" The images are of {source['title']} ({source['citation']}; licence: {source['licence']})."


# What a reader needs to train the same networks: the key of the study file, and its words in a paper.
SETTINGS = (
    ("model", "network"), ("head", "head"), ("weights", "initial weights"), ("loss", "loss"), ("optimizer", "optimiser"),
    ("schedule", "learning rate schedule"), ("epochs", "epochs at most"), ("batch_size", "images in a batch"),
    ("crop_px", "crop in pixels"), ("augment", "augmentation"), ("views", "views of each image"),
    ("freeze", "frozen part"), ("sampling", "sampling"),
    ("precision", "precision"),
)  # fmt: skip
PLAIN = {
    "head": ("linear",),
    "freeze": ("none",),
    "sampling": ("shuffled",),
    "precision": ("auto",),
    "crop_px": ("None",),
    "views": ("fresh ones each epoch",),
}
MAX_LISTED = 8


def _configured(data: ReportData) -> str:
    """What was trained, and how: what all configurations share by its value, what they differ in by its levels."""
    trainings = [data.trainings[result.id] for result in data.configurations if result.id in data.trainings]
    if not trainings:
        return ""
    parts, searched = [], dict(data.verdict.search.space) if data.verdict.search else {}
    for key, words in SETTINGS:
        if key in searched:
            parts.append(f"{words}: {searched.pop(key)}, searched")
            continue
        levels = tuple(dict.fromkeys(_setting(data, training, key) for training in trainings))
        if levels != PLAIN.get(key):
            more = f" and {len(levels) - MAX_LISTED} more" if len(levels) > MAX_LISTED else ""
            parts.append(f"{words}: {' | '.join(levels[:MAX_LISTED])}{more}")
    parts += [f"{key}: {space}, searched" for key, space in searched.items()]
    return f"What was trained: {'; '.join(parts)}.{_searched(data)}{_image_size(data)}"


def _searched(data: ReportData) -> str:
    """How settings were searched, and what that means for the scores."""
    search = data.verdict.search
    if search is None:
        return ""
    optuna = " ".join(filter(None, ("Optuna", (data.environment.get("packages") or {}).get("optuna"))))
    return f" {search.sentence} Trials were proposed by the sampler {search.sampler} of {optuna}."


def _setting(data: ReportData, training: Training, key: str) -> str:
    """A setting in words: what `auto` stood for, and what nothing is called."""
    if key == "views":
        return training.views_sentence if training.fixed_views else "fresh ones each epoch"
    value = getattr(training, key)
    if key == "loss" and data.verdict.task:
        value = stated_loss(training.loss, cast(Task, data.verdict.task))
    if key == "weights":
        return weights_sentence(training.model.name, training.weights)
    return str(value) or "none"


def _image_size(data: ReportData) -> str:
    if data.images is None or not len(data.images.shapes):
        return ""
    (low, narrow), (high, wide) = data.images.shapes.min(axis=0), data.images.shapes.max(axis=0)
    size = f"{low} × {narrow}"
    if (low, narrow) != (high, wide):
        size = f"between {size} and {high} × {wide}"
    return f" Images had {size} pixels and {count(data.images.num_channels, 'channel')} when they reached the network."


def _trained(data: ReportData) -> str:
    chosen_by = next((str(result["select"]) for result in data.results if result.get("select")), "one metric")
    # Of masks a fit takes an epoch to be as good as the median of its score and the two before it.
    median = " (the median of three epochs)" if data.segmentation else ""
    return (
        f"{_set_aside(data)}; the epoch was chosen there, by "
        f"{selecting_title(chosen_by)}{median} for all "
        "configurations alike, and the test images were predicted once, without "
        "augmentation. Seeds were the same for all configurations of a fold, so that comparisons are paired."
        + _thresholds(data)
        + _pretrained(data)
    )


def _set_aside(data: ReportData) -> str:
    if data.verdict.split == "given_split":
        return "Nothing was trained on the validation images"
    return "In every fold a part of the training images was set aside for validation"


def _thresholds(data: ReportData) -> str:
    if data.verdict.thresholds is None:
        return ""
    sentence = data.verdict.thresholds.sentence
    return f" The threshold from which on a label is predicted was set on the validation images of each fold, too: {sentence}."


def _pretrained(data: ReportData) -> str:
    ways = sorted({str(item.result["by"]) for item in data.auxiliary if item.kind == "pretrain"})
    if not ways:
        return ""
    return (
        f" Where a configuration says so, its network had first been trained without labels ({', '.join(ways)}): to "
        "restore damaged images of the training part, and of that alone, by the mean squared error."
    )


def _judged(data: ReportData) -> str:
    metric = data.verdict.metric
    averaging = f" ({metric.averaging.replace('_', ' ')})" if metric.averaging else ""
    return (
        f"Configurations were ranked by {in_text(metric.title)}{averaging}. Intervals are at {data.confidence} and combine the variance between "
        "images (or groups) with the variance between training runs, the latter inflated for the overlap of training sets "
        "(Nadeau and Bengio 2003). Two configurations were told apart by intervals of their difference that hold together, by "
        "the joint distribution of all estimates: those of comparisons with the best (Edwards and Hsu 1983) where by them one "
        "configuration was better than every other, and of all pairs (largest |t|) everywhere else. A configuration could be "
        f"the best when none was shown to be better at {data.verdict.alpha * 100:g} %.{_raced(data)}"
    )


def _raced(data: ReportData) -> str:
    race = data.verdict.race
    return f" {race.sentence}" if race else ""


def _machine(data: ReportData) -> str:
    environment = data.environment
    packages = environment.get("packages") or {}
    named = ", ".join(
        f"{name} {version}" for name, version in packages.items() if version and name in PACKAGES
    )
    version = f"foldwise {environment.get('foldwise', '')}".strip() + (f" ({named})" if named else "")
    devices = f" on {', '.join(data.devices)}" if data.devices else ""
    return f"The study was run with {version}{devices}, seed {environment.get('seed', 0)}."


def results_section(data: ReportData) -> dict[str, Any] | None:
    """The results paragraph, every sentence from the verdict; None while no configuration is complete."""
    paragraphs = results(data.verdict)
    return {"results": paragraphs} if paragraphs else None


def reproduce_section(data: ReportData) -> dict[str, Any] | None:
    """The study file, the commands, and a table of versions, digests and machine; None without a study."""
    if data.task is None:
        return None
    version = data.environment.get("foldwise")
    # The study file alone gives other numbers where the command line had changed it.
    changes = [f"--variant {shlex.quote(name)}" for name in data.environment.get("variants", [])]
    changes += [f"--set {shlex.quote(change)}" for change in data.environment.get("overrides", [])]
    commands = [
        f"pip install foldwise=={version}" if version else "pip install foldwise",
        " ".join(["foldwise check study.yaml", *changes]),
        " ".join(["foldwise run study.yaml", *changes]),
        f"foldwise report {shlex.quote(data.run_path)}",
    ]
    facts: dict[str, Any] = {"facts": _facts(data), "study": data.study_text, "commands": "\n".join(commands)}
    facts["own_code"] = [
        {
            "path": file.path,
            "lines": count(len(file.text.splitlines()), "line"),
            "digest": file.digest,
            "text": _visible(file.text[:MAX_CODE]),
            "is_cut": len(file.text) > MAX_CODE,
        }
        for file in data.own_code
    ]
    return {"reproduce": facts}


def _visible(text: str) -> str:
    """Code as it will be run: letters that cannot be seen, or turn the reading direction, as escapes."""
    return "".join(
        letter if letter.isprintable() or letter in "\n\t" else f"\\u{ord(letter):04x}"
        for letter in text.replace("\r\n", "\n")
    )


def _facts(data: ReportData) -> list[tuple[str, str]]:
    environment = data.environment
    facts = [
        (key.replace("_", " "), str(environment[key]))
        for key in ENVIRONMENT
        if environment.get(key) is not None
    ]
    facts += [
        ("own code", str(code["sentence"]).removeprefix("own code "))
        for code in (environment.get("own_code") or {}).values()
    ]
    packages = environment.get("packages") or {}
    facts += [(name, str(version)) for name, version in packages.items() if version]
    seeded = [result for result in data.results if result.get("seed") is not None]
    seeds = sorted({(result.get("repeat", 0), result.get("fold", 0), result["seed"]) for result in seeded})
    if seeds:
        listed = ", ".join(f"{repeat}.{fold}: {seed}" for repeat, fold, seed in seeds[:MAX_SEEDS])
        facts.append(("seeds by repeat.fold", listed + (" …" if len(seeds) > MAX_SEEDS else "")))
    return facts
