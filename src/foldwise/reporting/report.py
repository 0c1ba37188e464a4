"""The report: evidence in, one self-contained HTML file out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from foldwise.reporting import (
    again,
    answer,
    assets,
    augmentation,
    boundary,
    calibration,
    epochs,
    factors,
    gallery,
    labels,
    losses,
    maps,
    methods,
    metrics,
    parts,
    pretraining,
    results_text,
    robustness,
    sections,
    speed,
    tables,
    textbook,
    thresholds,
    weights,
)
from foldwise.reporting.evidence import Evidence, gather
from foldwise.reporting.words import breakable, metric_title, percent
from foldwise.study.folder import RunFolder, written_whole


@dataclass(frozen=True)
class Section:
    """A part of the page: what stands in it, as values for the template `sections/<name>.html.j2`.

    Attributes:
        name: its anchor, and the name of its template.
        title: in the list of sections; empty for what is not listed.
        content: from the evidence; None where there is nothing to show.
    """

    name: str
    title: str
    content: Callable[[Evidence], Mapping[str, Any] | None]


SECTIONS = (  # in the order of the page
    Section("answer", "Answer", lambda evidence: {"card": answer.card(evidence)}),
    Section("leaderboard", "Leaderboard", tables.leaderboard_section),
    Section("care", "", lambda evidence: {"warnings": evidence.verdict.get("warnings", [])}),
    Section("factors", "What mattered", factors.section),
    Section("a-a-test", "A/A test", again.section),
    Section("metrics", "Metrics", metrics.section),
    Section("classes", "Per class", sections.classes),
    Section("three-parts", "Three parts", parts.section),
    Section("boundary", "Boundaries", boundary.section),
    Section("curves", "ROC and PR", sections.curves),
    Section("confusion", "Confusion", sections.confusions),
    Section("thresholds", "Thresholds", thresholds.section),
    Section("calibration", "Calibration", calibration.section),
    Section("textbook", "Textbook tests", textbook.section),
    Section("pictures", "Pictures", gallery.winner_section),
    Section("side-by-side", "Side by side", gallery.compared_section),
    Section("robustness", "Robustness", robustness.section),
    Section("cost", "Cost", sections.cost),
    Section("throughput", "Speed", speed.section),
    Section("weights", "Weights", weights.section),
    Section("training", "Training", sections.learning),
    Section("loss-panels", "Losses", losses.panels_section),
    Section("epochs", "By epoch", epochs.section),
    Section("maps", "Maps", maps.section),
    Section("loss-curves", "Loss curves", losses.curves_section),
    Section("pretraining", "Pretraining", pretraining.section),
    Section("augmentation", "Augmentation", augmentation.section),
    Section("failures", "Failures", sections.failures),
    Section("data", "Data and audit", sections.data),
    Section("labels", "Labels", labels.section),
    Section("methods", "Methods text", lambda evidence: {"methods": methods.methods(evidence)}),
    Section("results", "Results text", results_text.section),
    Section("reproduce", "Reproduce", lambda evidence: {"reproduce": methods.reproduce(evidence)}),
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


def render(evidence: Evidence) -> str:
    """The page. Every name from the study or the files is escaped; nothing is loaded from anywhere."""
    environment = Environment(
        loader=PackageLoader("foldwise.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["breakable"] = breakable
    environment.filters["percent"] = percent
    script = assets.joined("scripts")
    common = everywhere(evidence)
    shown = []
    for section in SECTIONS:
        held = section.content(evidence)
        if held is not None:
            html = environment.get_template(f"sections/{section.name}.html.j2").render(**common, **held)
            shown.append({"name": section.name, "title": section.title, "html": Markup(html)})
    return environment.get_template("report.html.j2").render(
        **common,
        sections=shown,
        header=answer.header(evidence),
        style=Markup(assets.joined("styles")),
        script=Markup(script),
        script_digest=assets.digest(script),
    )


def everywhere(evidence: Evidence) -> dict[str, Any]:
    """What every section may speak of."""
    verdict = evidence.verdict
    return {
        "title": verdict.get("title") or verdict["study"],
        "study": verdict["study"],
        "metric": {**verdict["metric"], "title": metric_title(verdict["metric"])},
        "folds": verdict["folds"],
        "confidence": evidence.confidence,
        "several": len(evidence.configurations) > 1,
        "segmentation": evidence.segmentation,
        "multilabel": evidence.multilabel,
        "binary": len(evidence.classes) == 2,
    }
