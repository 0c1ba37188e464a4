"""A public data set as the data of a study: found where it was got, or fetched, and read as its row says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from foldwise.data.public.catalogue import SOURCES
from foldwise.data.public.conversions import find_root
from foldwise.data.public.source import ByHand, Cutouts, Kaggle, Progress, Source
from foldwise.errors import DataError, SpecError, choose
from foldwise.study.spec import DataSpec, Study, Validation
from foldwise.study.yaml_places import parse

PLACE = Path("data")  # where `foldwise data get` puts a set, below the current folder
FACTS = ("source", "title", "licence", "citation", "from", "got")


def with_source(study: Study, base: Path) -> Study:
    """The study with the folder of its public data set, and with the settings that it needs; others as they are.

    What the study states itself counts; the settings of the source fill in what it leaves out.

    Raises:
        SpecError: no such source, or `data.path` holds something else.
        DataError: the data set is not here; says its size, its licence, and the command that gets it.
    """
    if study.data.source is None:
        return study
    source = choose(SOURCES, study.data.source, "data source", where="data.source")
    folder = _folder_of(source, study.data, base)
    if folder is None:
        raise _absent(source, _local(study.data, base))
    stated: dict[str, Any] = parse(source.study, name=source.name).value or {}
    data = _filled(study.data, stated.get("data", {}) | {"path": str(folder)}, over={"path"})
    validation = _filled(study.validate_, stated.get("validate", {}))
    return study.model_copy(update={"data": data, "validate_": validation})


def fetch_source(study: Study, base: Path, *, progress: Progress) -> Path | None:
    """Get the public data set of a study that is not here yet, into data/<name>; None where nothing is to be got.

    Raises:
        FoldwiseError: as `get`, of which the local copy is at `data.path` where the study states it.
    """
    if study.data.source is None:
        return None
    source = choose(SOURCES, study.data.source, "data source", where="data.source")
    if _folder_of(source, study.data, base) is not None:
        return None
    # Imported here, since only fetching needs the network client.
    from foldwise.data.public.getting import get

    return get(source.name, PLACE / source.name, local=_local(study.data, base), progress=progress)


def source_facts(data: DataSpec) -> dict[str, str] | None:
    """What a paper must say of the public data set at `data.path`; None where the data are none."""
    if data.source is None or data.path is None:
        return None
    from foldwise.data.public.getting import RECORD, read_record

    source, folder = SOURCES[data.source], Path(data.path)
    record = read_record(folder) if (folder / RECORD).is_file() else _facts(source)
    return {key: str(record[key]) for key in FACTS if record.get(key)}


def _facts(source: Source) -> dict[str, str]:
    facts = {"title": source.title, "licence": source.licence, "citation": source.citation}
    return {"source": source.name, "from": source.where} | facts


def _filled(part: DataSpec | Validation, brought: dict[str, Any], over: set[str] | None = None) -> Any:
    """A part of the study with what it does not state itself, and with what is in `over` whatever it states."""
    stated = part.model_dump(mode="json", include=part.model_fields_set)
    new = {key: value for key, value in brought.items() if key not in stated or key in (over or set())}
    return type(part).model_validate_json(json.dumps(stated | new), strict=True)


def _local(data: DataSpec, base: Path) -> Path | None:
    return None if data.path is None else (base / Path(data.path).expanduser()).resolve()


def _folder_of(source: Source, data: DataSpec, base: Path) -> Path | None:
    """The folder to read: the stated one where it can be read as it is, else where the set was got to."""
    local = _local(data, base)
    folders = [PLACE / source.name, base / PLACE / source.name]
    if local is not None:
        original = _checked_copy(source, local)
        if original is not None:
            return original
    return next((folder.resolve() for folder in folders if _holds(source, folder)), None)


def _holds(source: Source, folder: Path) -> bool:
    from foldwise.data.public.getting import RECORD, read_record

    return (folder / RECORD).is_file() and read_record(folder)["source"] == source.name


def _checked_copy(source: Source, local: Path) -> Path | None:
    """The folder of a stated copy that can be read as it is; None where it must be laid out first."""
    if _holds(source, local):
        return local
    if local.is_file():
        return None
    if not local.is_dir():
        cure = f"Name the folder of your copy, or leave data.path out and: foldwise data get {source.name}"
        raise SpecError(f"there is nothing at {local}", where="data.path", cure=cure)
    try:
        root = find_root(local, source.original)
    except DataError as error:
        raise SpecError(
            f"{local} is no copy of {source.name}: {error.what}",
            where="data.path",
            cure=f"A copy holds {', '.join(source.original)}. Images of your own are read with data.path alone,"
            " without data.source.",
        ) from None
    return root if source.as_it_is else None


def _absent(source: Source, local: Path | None) -> DataError:
    """That the data set must be got first: what it takes, and the command."""
    command = f"foldwise data get {source.name}" + (f" --local {local}" if local else "")
    size = f"{source.size_mb:g} MB" if source.size_mb is not None else "its size is not known here"
    problem = (
        f"{source.name} ({source.title}) must be laid out first"
        if local
        else f"{source.name} ({source.title}) is not here"
    )
    by_hand = local is None and isinstance(source.origin, ByHand)
    command += " --local FOLDER" if by_hand else "\n    or: foldwise run, which does it before it begins."
    needs = "" if local else _needs(source)
    return DataError(
        f"the data set {problem}; {size}; licence: {source.licence}",
        where="data.source",
        cure=f"{command}{needs}",
    )


def _needs(source: Source) -> str:
    """What is needed beside a connection."""
    match source.origin:
        case Kaggle(competition=competition, url=url):
            rules = f" that has accepted the rules at {url}" if competition else f" ({url})"
            return f"\n    It needs an account at Kaggle{rules}, and pip install 'foldwise[kaggle]'."
        case Cutouts():
            return "\n    It needs pip install 'foldwise[bossdb]'."
        case ByHand(how=how):
            return f"\n    It cannot be downloaded: {how}"
    return ""
