"""`foldwise measure`: how fast models train and answer on this machine, what that takes, and what holds them up."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from foldwise.errors import SpecError
from foldwise.interface.observer import Doing, Terminal
from foldwise.interface.study_options import HELP, NoFetch, Phantom, Quick, Set, Variant, in_order
from foldwise.interface.terminal import TrustCode, console, hang, plain_table
from foldwise.storage import write_json, write_table
from foldwise.study.single import Single, document, typed, write_study

if TYPE_CHECKING:
    from foldwise.pipeline.measuring import SpeedRequest, Speeds
    from foldwise.pipeline.options import Observer
    from foldwise.study.reading import StudyFile

Target = Annotated[
    Path | None,
    typer.Argument(
        metavar="[STUDY|RUN]", help="A study file, or a run folder; or else name --data and --model."
    ),
]
Seconds = Annotated[float, typer.Option(help="For all numbers together, beside loading.")]
BatchSizes = Annotated[
    str | None, typer.Option(metavar="N,N", help="Images a step.", show_default="1,4,16,64")
]
Caches = Annotated[
    str | None,
    typer.Option(
        metavar="A,B",
        help="Where images come from: memory, disk (decoded once), none (decoded each time), features (of a frozen encoder).",
        show_default="disk,none,features",
    ),
]
Precisions = Annotated[str | None, typer.Option(metavar="A,B", help="fp32, bf16.", show_default="both")]
Devices = Annotated[
    str | None,
    typer.Option("--device", metavar="A,B", help="cpu, cuda, mps.", show_default="all that are here"),
]
Json = Annotated[bool, typer.Option("--json", help="Print all numbers as JSON, and nothing else.")]
Out = Annotated[
    Path | None,
    typer.Option(help="The folder that gets them.", show_default="runs/<study>-speed, or the run itself"),
]
EXAMPLES = "foldwise measure study.yaml, foldwise measure runs/gel, or foldwise measure --data photos --model resnet18"
BUSY = 0.3  # cores; other programs that take less are not mentioned


def measure(  # noqa: PLR0913 - each is an option
    target: Target = None,
    data: Annotated[Path | None, typer.Option(help=HELP["data"])] = None,
    model: Annotated[str | None, typer.Option(help=HELP["model"])] = None,
    head: Annotated[str | None, typer.Option(help=HELP["head"])] = None,
    augment: Annotated[str, typer.Option(help=HELP["augment"])] = "none",
    freeze: Annotated[bool, typer.Option("--freeze", help="Train the head only.")] = False,
    size: Annotated[str | None, typer.Option(help=HELP["size"])] = None,
    seconds: Seconds = 60.0,
    batch_sizes: BatchSizes = None,
    caches: Caches = None,
    precisions: Precisions = None,
    device: Devices = None,
    out: Out = None,
    as_json: Json = False,
    trust_code: TrustCode = False,
    set_: Set = [],  # noqa: B006 - typer wants the default value itself
    variant: Variant = [],  # noqa: B006
    phantom: Phantom = False,
    quick: Quick = False,
    no_fetch: NoFetch = False,
) -> None:
    """How fast models train and answer here, by batch size, precision and cache: images a second, memory, energy."""
    from foldwise.pipeline.measuring import SpeedRequest

    _refuse_unclear(target, data, model)
    names = {"caches": _names(caches), "precisions": _names(precisions)}
    options = {"batch_sizes": _numbers(batch_sizes), **names}
    request = SpeedRequest(options, tuple(_names(device) or ()), seconds)
    variants, single = in_order(variant, phantom=phantom, quick=quick), None
    if data and model:  # neither weights nor what was learned change a speed
        single = Single(data, model, head, augment=augment, weights="none", freeze=freeze, size=size)
        out = out or Path("runs") / f"{single.id}-speed"
    with Doing(silent=as_json) as progress:
        named = (
            target if target is not None and target.is_dir() else _study(target, single, out, set_, variants)
        )
        how: dict[str, Any] = {"fetch": not no_fetch, "trust_code": trust_code, "beat": progress.beat}
        how |= {} if as_json else {"observer": Terminal()}
        speeds = measured(named, request, out, [*set_, *variants], **how)
    files = write_speeds(speeds)
    if as_json:
        print(json.dumps(record(speeds), indent=1))
    else:
        say_speeds(speeds, files)
    speeds.fail_if_none()


def _refuse_unclear(target: Path | None, data: Path | None, model: str | None) -> None:
    if (target is None) != bool(data and model) or (target and (data or model)):
        what = "there must be one thing to measure: a study, a run, or --data and --model"
        raise SpecError(what, cure=EXAMPLES)


def measured(  # noqa: PLR0913 - each is an option
    named: Path | StudyFile,
    request: SpeedRequest,
    out: Path | None,
    changes: list[str],
    *,
    fetch: bool,
    trust_code: bool,
    beat: Callable[[dict[str, Any]], None],
    observer: Observer | None = None,
) -> Speeds:
    """The speeds of a study; or of a run, the folder of which is named and whose report shows them from then on."""
    from foldwise.pipeline.measuring import measure_run, measure_study
    from foldwise.pipeline.options import RunOptions, Silent
    from foldwise.pipeline.pipeline import finish
    from foldwise.runs.folder import RunFolder

    if not isinstance(named, Path):
        return measure_study(named, request, RunOptions(out, fetch=fetch), observer or Silent(), beat=beat)
    _refuse_beside_run(out, changes)
    folder = RunFolder.open(named)
    speeds = measure_run(folder, request, trust_code=trust_code, beat=beat)
    if folder.verdict.is_file():
        finish(folder)
    return speeds


def _study(
    path: Path | None, single: Single | None, out: Path | None, changes: list[str], variants: list[str]
) -> StudyFile:
    """The study file, or that of a single model, which is written into the folder `out`."""
    from foldwise.runs.folder import RunFolder
    from foldwise.study.reading import open_study

    if single is None or out is None:
        assert path is not None
        return open_study(path, changes, variants)
    written = RunFolder(out).study_file
    write_study(document(single, beside=written.parent), written)
    return open_study(written, typed=typed(single))


def _refuse_beside_run(out: Path | None, changes: list[str]) -> None:
    """Refuse options that say how a study is laid out, beside a run that lies there."""
    stated = [name for name, value in (("--out", out), ("--set or --variant", changes)) if value]
    if stated:
        what = f"{stated[0]} is for studies, and a run is measured as it lies there"
        raise SpecError(what, cure="Name the study file in place of the run folder.")


def _names(text: str | None) -> list[str] | None:
    return None if text is None else list(dict.fromkeys(filter(None, map(str.strip, text.split(",")))))


def _numbers(text: str | None) -> list[int] | None:
    try:
        return None if text is None else [int(part) for part in text.split(",") if part.strip()]
    except ValueError:
        cure = "For example: --batch-sizes 1,4,16."
        raise SpecError(f"must be whole numbers, got {text!r}", where="--batch-sizes", cure=cure) from None


def record(speeds: Speeds) -> dict[str, Any]:
    """All that was measured, as plain values, and on which machine."""
    from foldwise.pipeline.record import machine_record

    rows = [row.model_dump(mode="json") for row in speeds.rows]
    return {"machine": machine_record(), "measured": rows, "not_tried": list(speeds.not_tried)}


def write_speeds(speeds: Speeds) -> list[Path]:
    """speed.json, speed.csv and speed.html in the folder that was measured in."""
    from foldwise.reporting.report import write_speed_page
    from foldwise.reporting.sections.verdict.speed import speed_table

    root, study = speeds.folder.root, speeds.folder.load_study()
    files = [root / f"speed.{kind}" for kind in ("json", "csv", "html")]
    write_json(files[0], record(speeds))
    write_table(files[1], speed_table(speeds.rows))
    notes = [f"Not measured: {sentence}." for sentence in speeds.not_tried]
    write_speed_page(files[2], speeds.rows, title=f"Speed of {study.title or study.study}", notes=notes)
    return files


def say_speeds(speeds: Speeds, files: list[Path]) -> None:
    """A table of all speeds and what holds each of them up, what could not be measured, and where the files are."""
    from foldwise.reporting.sections.verdict.speed import HELD_UP_BY, joules, name_of, source, speed_words
    from foldwise.reporting.wording import NOTHING, memory

    out, rows = console(), [row for row in speeds.rows if row.points]
    every = [(row, point) for row in rows for point in row.points or ()]
    energy = any(point.train and point.train.joules_per_image for _, point in every)
    names = ["batch", "training", "bare step", "inference", "memory", *(["energy"] if energy else []), "", ""]
    for name in dict.fromkeys(name_of(row, rows) for row in rows):
        out.print(Text(f"{name}, images per second", "bold"))
        table = plain_table("images", *names[:-1])
        for row, point in every:
            if name_of(row, rows) != name:
                continue
            speeds_of = (point.train, point.limit, point.inference)
            cells = [speed_words(speed.median) if speed else NOTHING for speed in speeds_of]
            cells.append(memory(point.peak_memory_mb))
            cells += [joules(point.train.joules_per_image if point.train else None)] if energy else []
            held_up = f"held up by {HELD_UP_BY[point.bottleneck]}" if point.bottleneck else ""
            table.add_row(source(row, rows), str(point.batch_size), *cells, point.problem or held_up)
        out.print(table)
    for row in speeds.rows:
        if row.error:
            hang(out, Text("  ✗ ", "bold red"), Text(f"{row.title}: {row.error}"))
    for sentence in speeds.not_tried:
        hang(out, Text("  · ", "dim"), Text(f"not measured: {sentence}"))
    if not energy:
        hang(
            out,
            Text("  · ", "dim"),
            Text(
                "energy: this machine has no counter that may be read, or it is too slow for so short a time"
            ),
        )
    if busy := max((row.others_busy or 0.0 for row in rows), default=0.0):
        say = f"other programs kept {busy:.1f} of {rows[0].cores} cores busy meanwhile, which made every number worse"
        if busy > BUSY:
            hang(out, Text("  ! ", "yellow"), Text(say))
    out.print()
    for what, path in zip(("Numbers:", "Table:", "Figure:"), files, strict=True):
        out.print(f"{what:<9}{path}", markup=False)
