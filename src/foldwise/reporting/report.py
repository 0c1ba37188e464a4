"""The report: a run folder in, one self-contained HTML file out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment
from markupsafe import Markup

from foldwise.data.overlays import is_dark
from foldwise.judging.verdict_configurations import ModelThroughput
from foldwise.reporting.pages import environment
from foldwise.reporting.report_data import ReportData, gather
from foldwise.reporting.sections.images import data_card, gallery, hardest
from foldwise.reporting.sections.training import (
    before_training,
    epochs,
    layers,
    looks,
    losses,
    maps,
    surfaces,
)
from foldwise.reporting.sections.verdict import (
    answer,
    calibration,
    classes,
    costs,
    factors,
    leaderboard,
    methods,
    metrics,
    robustness,
    search,
    speed,
)
from foldwise.runs.folder import RunFolder, written_whole
from foldwise.study.spec import Study
from foldwise.text import some


@dataclass(frozen=True)
class Section:
    """A part of the page: what stands in it, as values for the template `sections/<name>.html.j2`.

    Attributes:
        name: its anchor, and the name of its template.
        title: in the list of sections; empty for what is not listed.
        content: from the data of the run; None where there is nothing to show.
    """

    name: str
    title: str
    content: Callable[[ReportData], Mapping[str, Any] | None]


@dataclass(frozen=True)
class Shown:
    """A section as it stands in the page."""

    name: str
    title: str
    html: Markup


LOOKED_AT = 48  # images, to say whether some are dark
SECTIONS = (  # in the order of the page
    Section("answer", "Answer", answer.section),
    Section("leaderboard", "Leaderboard", leaderboard.section),
    Section("warnings", "", answer.warnings_section),
    Section("factors", "What mattered", factors.section),
    Section("aa-test", "A/A test", leaderboard.aa_test_section),
    Section("search", "Search", search.section),
    Section("race", "Race", search.race_section),
    Section("metrics", "Metrics", metrics.section),
    Section("classes", "Per class", classes.section),
    Section("splits", "Training, validation, test", classes.splits_section),
    Section("boundary", "Boundaries", classes.boundary_section),
    Section("curves", "ROC and PR", calibration.curves_section),
    Section("confusion", "Confusion", calibration.confusion_section),
    Section("thresholds", "Thresholds", calibration.thresholds_section),
    Section("calibration", "Calibration", calibration.section),
    Section("textbook", "Textbook tests", leaderboard.textbook_section),
    Section("pictures", "Pictures", gallery.winner_section),
    Section("side-by-side", "Side by side", gallery.compared_section),
    Section("hardest", "Hardest images", hardest.section),
    Section("external", "External set", metrics.external_section),
    Section("robustness", "Robustness", robustness.section),
    Section("cost", "Cost", costs.section),
    Section("throughput", "Speed", speed.section),
    Section("weights", "Weights", layers.weights_section),
    Section("training", "Training", epochs.learning_section),
    Section("loss-panels", "Losses", losses.panels_section),
    Section("epochs", "By epoch", epochs.section),
    Section("maps", "Maps", maps.section),
    Section("attention", "Where it looks", looks.attention_section),
    Section("layers", "Layers", layers.section),
    Section("loss-curves", "Loss curves", losses.curves_section),
    Section("surfaces", "Loss surfaces", surfaces.section),
    Section("pretraining", "Pretraining", before_training.pretraining_section),
    Section("augmentation", "Augmentation", before_training.augmentation_section),
    Section("failures", "Failures", epochs.failures_section),
    Section("data", "Data and audit", data_card.section),
    Section("labels", "Labels", data_card.labels_section),
    Section("methods", "Methods text", methods.section),
    Section("results", "Results text", methods.results_section),
    Section("reproduce", "Reproduce", methods.reproduce_section),
)


def write_report(folder: RunFolder) -> Path:
    """Write report.html of a run that was judged, whole or not at all; its path.

    Raises:
        RunError: there is no verdict yet, or a file of the run is damaged.
    """
    write_page(folder.report, gather(folder))
    return folder.report


def write_page(path: Path, data: ReportData) -> None:
    """Write the page, whole or not at all."""
    page = render(data)
    with written_whole(path) as scratch:
        scratch.write_text(page, encoding="utf-8")


def render(data: ReportData, *, live: str | None = None) -> str:
    """The page. Every name from the study or the files is escaped; nothing is loaded from anywhere.

    Args:
        live: the digest of the state that is shown, for a page that asks its server for news; None makes one that
            asks nobody.
    """
    # A page on disk has nobody to ask: its policy forbids it every connection.
    environment = _report_environment(data, "scripts", *(["live"] if live is not None else []))
    return environment.get_template("report.html.j2").render(
        **everywhere(data), sections=sections_of(data), header=answer.header(data), live=live
    )


def write_speed_page(
    path: Path, rows: Sequence[ModelThroughput], *, title: str, notes: Sequence[str]
) -> None:
    """The figures and the table of speeds as a page of their own, under a title and above notes; whole or not at all."""
    template = environment("scripts").get_template("speed.html.j2")
    page = template.render(title=title, notes=notes, **(speed.speed_content(rows) or {"speed": None}))
    with written_whole(path) as scratch:
        scratch.write_text(page, encoding="utf-8")


def waiting_page(study: Study) -> str:
    """A page for a run of which no fit is done; it asks its server until there is a report."""
    return environment("live").get_template("waiting.html.j2").render(title=study.title or study.study)


def sections_of(data: ReportData) -> list[Shown]:
    """The sections for which there is something to show, in the order of the page."""
    environment, common = _report_environment(data), everywhere(data)
    shown = []
    for section in SECTIONS:
        content = section.content(data)
        if content is not None:
            html = environment.get_template(f"sections/{section.name}.html.j2").render(**common, **content)
            shown.append(Shown(section.name, section.title, Markup(html)))
    return shown


def _report_environment(data: ReportData, *kinds: str) -> Environment:
    # Templates know names only; the script of the page marks a configuration everywhere by its id.
    ids = {result.name: result.id for result in data.configurations}
    templates = environment(*kinds)
    templates.filters["own"] = lambda name: _own(ids.get(str(name)))
    return templates


def _own(configuration: str | None) -> Markup:
    """The attribute by which everything of a configuration is found; empty for what is of none."""
    return Markup("") if configuration is None else Markup(' data-configuration="{}"').format(configuration)


def everywhere(data: ReportData) -> dict[str, Any]:
    """What every section may speak of."""
    verdict = data.verdict
    return {
        "title": verdict.title or verdict.study or f"Verdict on {some(verdict.files, 2)}",
        "study": verdict.study or "scores",
        "metric": verdict.metric,
        "folds": verdict.folds,
        "confidence": data.confidence,
        "several": len(data.configurations) > 1,
        "segmentation": data.segmentation,
        "multilabel": data.multilabel,
        "binary": len(data.classes) == 2,
        "brightened": " Dark images are shown brighter than they are." if _some_dark(data) else "",
    }


def _some_dark(data: ReportData) -> bool:
    """Whether some of the images are so dark that they are shown brighter; an even choice is looked at."""
    if data.images is None:
        return False
    cases = data.cases[:: max(1, len(data.cases) // LOOKED_AT)]
    return any(is_dark(data.images.image(case.index)) for case in cases)
