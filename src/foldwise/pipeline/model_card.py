"""The model card: what a model that leaves is, how well it does and how sure that is, what it was made of, and its limits."""

from __future__ import annotations

import html
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from foldwise.data.formats.pixels import is_same_size
from foldwise.judging.verdict import Verdict, read_verdict
from foldwise.judging.wording import with_interval
from foldwise.learning.checkpoints.winner import MODEL
from foldwise.learning.export.handover import WeightsLicence
from foldwise.runs.folder import RunFolder, read_json
from foldwise.sealed import read_table
from foldwise.text import count, in_text

if TYPE_CHECKING:  # it needs torch
    from foldwise.learning.checkpoints.saved import Winner
    from foldwise.learning.export.writing import Exported

MAX_CLASSES = 40
# What would format, link or run something: marks anywhere, addresses, and what begins a heading or a list.
_MARKS = re.compile(r"([\\`*_\[\]|~$#])")
_ADDRESS = re.compile(r"(?i)(:)(?=//)|(?<=www)(\.)")
_BEGINNING = re.compile(r"^(?:\d+(?=[.)](?:\s|$))|(?=[-+=]))")
# Controls, and what turns the reading direction.
_UNSEEN = re.compile(r"[\x00-\x1f\x7f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")


def plain(text: object) -> str:
    r"""A text of somebody else as Markdown that shows it and does nothing: no link, picture, heading, table or HTML.

    >>> plain("<img src=x> [a](b) 0.5")
    '&lt;img src=x&gt; \\[a\\](b) 0.5'
    """
    shown = html.escape(" ".join(_UNSEEN.sub(" ", str(text)).split()), quote=False)
    shown = _ADDRESS.sub(lambda match: f"\\{match[0]}", _MARKS.sub(r"\\\1", shown))
    return _BEGINNING.sub(lambda match: f"{match[0]}\\", shown)


@dataclass(frozen=True)
class CardFacts:
    """What a card is written from; what came without its run has no verdict, cases and audit.

    Attributes:
        model: model.json of the winner.
        about: what exported files say of themselves.
        cases: rows of cases.csv.
        audit: audit.json.
        authors, licence: of the model, where they were stated.
    """

    title: str
    model: Mapping[str, Any]
    about: Mapping[str, str]
    verdict: Verdict | None
    cases: Sequence[Mapping[str, str]]
    audit: Mapping[str, Any]
    weights: WeightsLicence
    authors: Sequence[str] = ()
    licence: str | None = None


def card_facts(
    winner: Path,
    folder: RunFolder | None,
    loaded: Winner,
    weights: WeightsLicence,
    *,
    pixel_um: float | None = None,
    authors: Sequence[str] = (),
    licence: str | None = None,
) -> CardFacts:
    """What the model card of a winner is written from; `folder` is None where it came without its run."""
    model = read_json(winner / MODEL)
    about = _about(loaded, folder, model, pixel_um)
    stated: dict[str, Any] = {"authors": authors, "licence": licence}
    if folder is None:
        return CardFacts(about["study"], model, about, None, [], {}, weights, **stated)
    verdict = read_verdict(folder.verdict) if folder.verdict.is_file() else None
    title = verdict.title if verdict is not None and verdict.title else about["study"]
    cases, audit = read_table(folder.cases), read_json(folder.audit)
    return CardFacts(title, model, about, verdict, cases, audit, weights, **stated)


def _about(
    loaded: Winner, folder: RunFolder | None, model: dict[str, Any], pixel_um: float | None
) -> dict[str, str]:
    """What files say of themselves: what the script reads, and what a reader wants to know."""
    from importlib.metadata import version

    environment = read_json(folder.environment) if folder is not None and folder.environment.is_file() else {}
    study = folder.load_study().study if folder is not None else "not known"
    saved = loaded.model
    limits = [None if np.isinf(value) else float(value) for value in loaded.thresholds]
    return {
        "foldwise": version("foldwise"),
        "study": str(study),
        "study_digest": str(environment.get("study_digest", "not known")),
        "answer": str((model.get("answer") or {}).get("sentence", "")),
        "score": str(model.get("score") or ""),
        "task": saved.task,
        "classes": json.dumps(saved.classes, ensure_ascii=False),
        "thresholds": json.dumps(limits),
        "temperature": json.dumps(loaded.temperature),
        "channels": json.dumps(loaded.channels, ensure_ascii=False),
        "num_channels": json.dumps(saved.num_channels),
        "dtype": saved.dtype,
        "size_hw": json.dumps(saved.size_hw),
        "resized": json.dumps(saved.resized),
        "pixel_um": "" if pixel_um is None else f"{pixel_um:g}",
        "input": "float32 (batch, channel, height, width), in the values of the image file; normalised inside",
        "output": "probabilities of the classes, mean over the networks of all folds",
    }


def model_card(facts: CardFacts, exported: Sequence[Exported] = ()) -> str:
    """Markdown, with the proofs of the `exported` formats; what is not known is said to be so."""
    parts = [
        [f"# {plain(facts.title)}", "", *_what(facts.model, facts.about)],
        ["## How well it does", "", *_score(facts.model, facts.verdict)],
        ["## What it was made of", "", *_data(facts)],
        ["## Weights it began with", "", *_weights(facts.weights)],
        ["## What it must not be used for", "", *_limits(facts.model, facts.verdict)],
        *([["## Formats, and their proof", "", *_formats(exported)]] if exported else []),
        ["## Authors, licence, citation", "", *_whose(facts)],
    ]
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def _what(model: Mapping[str, Any], about: Mapping[str, str]) -> Iterator[str]:
    members = model["members"]
    saved = members[0]["model"]
    classes = saved["classes"]
    shown = ", ".join(plain(name) for name in classes[:MAX_CLASSES])
    more = f" and {len(classes) - MAX_CLASSES} more" if len(classes) > MAX_CLASSES else ""
    yield f"A model for {saved['task'].replace('_', ' ')} of {count(len(classes), 'class', 'classes')}: {shown}{more}."
    yield ""
    networks = count(len(members), "network")
    yield (
        f"It is {networks} of {plain(_named(saved['training']['model']))}, one for each fold, whose probabilities are averaged."
        if len(members) > 1
        else f"It is one network, {plain(_named(saved['training']['model']))}."
    )
    size = saved["size_hw"]
    scaled = f", resized to {size[1]} × {size[0]}" if saved["resized"] and size else ""
    yield (
        f"It takes images of {count(saved['num_channels'], 'channel')} of {saved['dtype']} values as their files hold them"
        f"{scaled}; they are normalised inside."
    )
    pixel = about.get("pixel_um")
    yield (
        f"Pixel size: {pixel} µm."
        if pixel
        else "Pixel size: not recorded. New images must be of the scale of the training images."
    )


def _named(model: Mapping[str, Any]) -> str:
    options = ", ".join(f"{name} {value}" for name, value in (model.get("options") or {}).items())
    return f"{model['name']} ({options})" if options else str(model["name"])


def _score(model: Mapping[str, Any], verdict: Verdict | None) -> Iterator[str]:
    answer, score = model.get("answer"), model.get("score")
    if answer is None and score is None:
        yield "Not known: the model came without a verdict."
        return
    if answer is None:  # another one than the winner, or one fold of it
        yield f"**{plain(score)}.**"
        if verdict is not None and verdict.answer is not None:
            yield ""
            yield "This model was chosen by its name, and not by the study, whose answer is:"
            yield ""
            yield plain(verdict.answer.sentence)
    else:
        if verdict is not None and verdict.answer is not None:
            title, confidence = in_text(verdict.metric.title), f"{100 * (1 - verdict.alpha):g} %"
            reached = f"{title[:1].upper()}{title[1:]}: {with_interval(verdict.answer, confidence)}"
            yield f"**{plain(reached)}**, on test images that its networks did not see."
            yield ""
        yield plain(answer["sentence"])
    if verdict is None:
        return
    yield ""
    if verdict.external is not None and answer is not None:  # of the winner
        yield f"On an external set: {plain(verdict.external.sentence)}"
    else:
        yield "It was not tested on images of another source: on such it may do worse than the interval says."
    yield from (
        ("", *(f"- {plain(warning.message)}" for warning in verdict.warnings)) if verdict.warnings else ()
    )


def _data(facts: CardFacts) -> Iterator[str]:
    cases, audit, verdict = facts.cases, facts.audit, facts.verdict
    if not cases:
        yield "Not known: the model came without its run."
        return
    groups = {row["group"] for row in cases if row["group"]}
    in_groups = f" in {count(len(groups), 'group')}" if groups and len(groups) < len(cases) else ""
    yield f"- {count(len(cases), 'image')}{in_groups}"
    sizes = Counter(f"{row['width']} × {row['height']}" for row in cases)
    listed = ", ".join(f"{size} ({number})" for size, number in sizes.most_common(4))
    yield f"- sizes in pixels: {listed}{' and others' if len(sizes) > 4 else ''}"
    classes = facts.model["members"][0]["model"]["classes"]
    labels = Counter(int(label) for row in cases for label in row["labels"].split())
    for label, number in sorted(labels.items())[:MAX_CLASSES]:
        yield f"- {plain(classes[label])}: {count(number, 'image')}"
    source = audit.get("source") or {}
    for key, words in (("title", "source"), ("citation", "citation"), ("licence", "licence of the images")):
        if source.get(key):
            yield f"- {words}: {plain(source[key])}"
    if verdict is not None:
        yield f"- {count(verdict.folds, 'fold')}, {count(verdict.repeats, 'repeat')}"
    for finding in audit.get("findings", ()):
        if finding.get("severity") == "warning":
            yield f"- the audit warned: {plain(finding.get('message', ''))}"


def _weights(weights: WeightsLicence) -> Iterator[str]:
    yield f"{plain(weights.source[:1].upper() + weights.source[1:])}." + (
        f" Licence: {plain(weights.licence)}." if weights.licence else ""
    )
    if weights.caution:
        yield ""
        yield f"**{plain(weights.caution)}**"


def _limits(model: Mapping[str, Any], verdict: Verdict | None) -> Iterator[str]:
    if model.get("caution"):
        yield f"- **Anything: {plain(model['caution'])}**"
    yield "- Diagnosis, treatment or any decision about a person, unless it was validated for that by those who answer for it."
    yield "- Images unlike those above: other microscopes, stains, sites, species, scales or compressions, until it was tested on them."
    yield "- Classes other than those above: it has no answer for them and calls them one of its own."
    if verdict is not None and verdict.num_groups and verdict.num_groups < 30:
        yield f"- Statements about new groups in general: it was trained and tested on {count(verdict.num_groups, 'group')} only."


def _formats(exported: Sequence[Exported]) -> Iterator[str]:
    yield "Each file was run on real test images of the study and compared with foldwise itself, number by number."
    yield ""
    yield "| file | images | largest difference | labels that agree | sizes | score by foldwise, by the file |"
    yield "|---|---|---|---|---|---|"
    for each in exported:
        if each.refusal or each.comparison is None:
            yield f"| {plain(each.file)} | not written: {plain(each.refusal)} | | | | |"
            continue
        proof = each.comparison
        scores = ", ".join(f"{score:.4f}" for score in each.scores) or "truth not known"
        agree = f"{proof.agreed:,} of {proof.decisions:,}"
        sizes = "any" if each.any_size else "as in training only"
        yield f"| {plain(each.file)} | {proof.images} | {proof.difference:.1e} | {agree} | {sizes} | {scores} |"


def _whose(facts: CardFacts) -> Iterator[str]:
    yield f"Authors: {', '.join(map(plain, facts.authors))}." if facts.authors else "Authors: not stated."
    unknown = "Licence of this model: not stated. Ask its authors before passing it on."
    yield f"Licence of this model: {plain(facts.licence)}." if facts.licence else unknown
    version, study, digest = (plain(facts.about[name]) for name in ("foldwise", "study", "study_digest"))
    yield ""
    yield f"Made with foldwise {version}, study {study} (digest {digest})."
    yield "To cite: the authors above, the source of the images, and foldwise (CITATION.cff of its repository)."


def side_um(winner: Winner) -> float | None:
    """The side of a pixel as the networks see it, where that is the one of the files, and square."""
    if winner.pixel_um is None or winner.model.resized:
        return None
    height, width = winner.pixel_um
    return height if is_same_size((height, height), (width, width)) else None
