"""The report: evidence in, one self-contained HTML file out."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from foldwise.reporting import answer, gallery, methods, sections, tables
from foldwise.reporting.evidence import Evidence, gather
from foldwise.reporting.words import breakable, metric_title, percent
from foldwise.study.folder import RunFolder, written_whole


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
    script = _asset("script.js")
    digest = b64encode(sha256(script.encode()).digest()).decode("ascii")
    return environment.get_template("report.html.j2").render(
        **content(evidence),
        style=Markup(_asset("style.css")),
        script=Markup(script),
        script_digest=digest,
    )


def _asset(name: str) -> str:
    return files("foldwise.reporting").joinpath("templates", name).read_text(encoding="utf-8")


def content(evidence: Evidence) -> dict[str, Any]:
    """What stands in every section, in the order of the page."""
    verdict = evidence.verdict
    shown, compared = gallery.side_by_side(evidence)
    return {
        "title": verdict.get("title") or verdict["study"],
        "study": verdict["study"],
        "metric": {**verdict["metric"], "title": metric_title(verdict["metric"])},
        "folds": verdict["folds"],
        "several": len(evidence.configurations) > 1,
        "segmentation": evidence.segmentation,
        "multilabel": evidence.multilabel,
        "binary": len(evidence.classes) == 2,
        "header": answer.header(evidence),
        "card": answer.card(evidence),
        "warnings": verdict.get("warnings", []),
        "leaderboard": tables.leaderboard(evidence),
        "every_metric": tables.every_metric(evidence),
        "classes": sections.classes(evidence),
        "curves": sections.curves(evidence),
        "confusions": sections.confusions(evidence),
        "gallery": gallery.winner_gallery(evidence),
        "pictures_gone": evidence.images is None,
        "compared": {"cases": shown, "rows": compared},
        "legend": gallery.legend(evidence),
        "cost": {"drawing": sections.cost_drawing(evidence), "rows": tables.cost(evidence)},
        "learning": sections.learning(evidence),
        "failures": tables.failures(evidence),
        "fit_warnings": tables.warnings_of_fits(evidence),
        "data": {**sections.data_card(evidence), "sample": gallery.sample(evidence)},
        "methods": methods.methods(evidence),
        "reproduce": methods.reproduce(evidence),
    }
