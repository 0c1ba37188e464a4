"""The report: a run folder in, one self-contained HTML file out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment
from markupsafe import Markup

from foldwise.reporting import assets
from foldwise.reporting.report_data import ReportData, gather
from foldwise.reporting.sections.images import data_card, gallery, hardest, labels
from foldwise.reporting.sections.training import (
    attention,
    before_training,
    epochs,
    fits,
    layers,
    losses,
    maps,
    surfaces,
    weights,
)
from foldwise.reporting.sections.verdict import (
    answer,
    calibration,
    classes,
    costs,
    curves,
    factors,
    leaderboard,
    methods,
    metrics,
    robustness,
    significance,
    speed,
)
from foldwise.runs.folder import RunFolder, written_whole
from foldwise.study.spec import Study


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


SECTIONS = (  # in the order of the page
    Section("answer", "Answer", answer.section),
    Section("leaderboard", "Leaderboard", leaderboard.section),
    Section("warnings", "", answer.warnings_section),
    Section("factors", "What mattered", factors.section),
    Section("aa-test", "A/A test", significance.aa_test_section),
    Section("metrics", "Metrics", metrics.section),
    Section("classes", "Per class", classes.section),
    Section("splits", "Training, validation, test", classes.splits_section),
    Section("boundary", "Boundaries", classes.boundary_section),
    Section("curves", "ROC and PR", curves.section),
    Section("confusion", "Confusion", curves.confusion_section),
    Section("thresholds", "Thresholds", calibration.thresholds_section),
    Section("calibration", "Calibration", calibration.section),
    Section("textbook", "Textbook tests", significance.textbook_section),
    Section("pictures", "Pictures", gallery.winner_section),
    Section("side-by-side", "Side by side", gallery.compared_section),
    Section("hardest", "Hardest images", hardest.section),
    Section("robustness", "Robustness", robustness.section),
    Section("cost", "Cost", costs.section),
    Section("throughput", "Speed", speed.section),
    Section("weights", "Weights", weights.section),
    Section("training", "Training", fits.learning_section),
    Section("loss-panels", "Losses", losses.panels_section),
    Section("epochs", "By epoch", epochs.section),
    Section("maps", "Maps", maps.section),
    Section("attention", "Where it looks", attention.section),
    Section("layers", "Layers", layers.section),
    Section("loss-curves", "Loss curves", losses.curves_section),
    Section("surfaces", "Loss surfaces", surfaces.section),
    Section("pretraining", "Pretraining", before_training.pretraining_section),
    Section("augmentation", "Augmentation", before_training.augmentation_section),
    Section("failures", "Failures", fits.failures_section),
    Section("data", "Data and audit", data_card.section),
    Section("labels", "Labels", labels.section),
    Section("methods", "Methods text", methods.section),
    Section("results", "Results text", methods.results_section),
    Section("reproduce", "Reproduce", methods.reproduce_section),
)


def write_report(folder: RunFolder) -> Path:
    """Write report.html of a run that was judged, whole or not at all; its path.

    Raises:
        RunError: there is no verdict yet, or a file of the run is damaged.
    """
    page = render(gather(folder))
    with written_whole(folder.report) as scratch:
        scratch.write_text(page, encoding="utf-8")
    return folder.report


def render(data: ReportData, *, live: str | None = None) -> str:
    """The page. Every name from the study or the files is escaped; nothing is loaded from anywhere.

    Args:
        data: of the run.
        live: the digest of the state that is shown, for a page that asks its server for news; None makes one that
            asks nobody.
    """
    script = assets.joined("scripts") + (assets.joined("live") if live is not None else "")
    return (
        _environment(data)
        .get_template("report.html.j2")
        .render(
            **everywhere(data),
            sections=sections_of(data),
            header=answer.header(data),
            style=Markup(assets.joined("styles")),
            script=Markup(script),
            script_digest=assets.digest(script),
            live=live,
        )
    )


def waiting_page(study: Study) -> str:
    """A page for a run of which no fit is done; it asks its server until there is a report."""
    script = assets.joined("live")
    return (
        assets.environment()
        .get_template("waiting.html.j2")
        .render(
            title=study.title or study.study,
            style=Markup(assets.joined("styles")),
            script=Markup(script),
            script_digest=assets.digest(script),
        )
    )


def sections_of(data: ReportData) -> list[Shown]:
    """The sections for which there is something to show, in the order of the page."""
    environment, common = _environment(data), everywhere(data)
    shown = []
    for section in SECTIONS:
        content = section.content(data)
        if content is not None:
            html = environment.get_template(f"sections/{section.name}.html.j2").render(**common, **content)
            shown.append(Shown(section.name, section.title, Markup(html)))
    return shown


def _environment(data: ReportData) -> Environment:
    environment = assets.environment()
    # Templates know names only; the script of the page marks a configuration everywhere by its id.
    ids = {result.name: result.id for result in data.configurations}
    environment.filters["own"] = lambda name: own(ids.get(str(name)))
    return environment


def own(configuration: str | None) -> Markup:
    """The attribute by which everything of a configuration is found; empty for what is of none."""
    return Markup("") if configuration is None else Markup(' data-configuration="{}"').format(configuration)


def everywhere(data: ReportData) -> dict[str, Any]:
    """What every section may speak of."""
    verdict = data.verdict
    return {
        "title": verdict.title or verdict.study,
        "study": verdict.study,
        "metric": verdict.metric,
        "folds": verdict.folds,
        "confidence": data.confidence,
        "several": len(data.configurations) > 1,
        "segmentation": data.segmentation,
        "multilabel": data.multilabel,
        "binary": len(data.classes) == 2,
    }
