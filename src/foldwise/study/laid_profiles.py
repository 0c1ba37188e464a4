"""What a cluster is asked for beside the study: the user's own profile below it, files and options over it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from platformdirs import user_config_dir

from foldwise.errors import SpecError
from foldwise.storage import from_home
from foldwise.study.profiles import PROFILES
from foldwise.study.ranges import shown
from foldwise.study.yaml_places import YamlSource, parse_value, read_source
from foldwise.text import some


def lay_profile(source: YamlSource, engine: str, stated: Sequence[str]) -> None:
    """Lay what is stated of an engine over its part of a study, and what the user's profile says below it; the last counts.

    Args:
        stated: ``KEY=VALUE`` each, or the path of a YAML file with such keys.

    Raises:
        SpecError: the engine has no profile, or a file is none of keys and values.
    """
    if engine in PROFILES:
        _lay_below(source, engine)
    where = f"--profile {' '.join(stated)}"
    if stated and engine not in PROFILES:
        cure = f"Add --on {' or '.join(PROFILES)}, or leave it out."
        raise SpecError(f"workers of {engine!r} have no profile", where=where, cure=cure)
    for text in stated:
        for key, value in _stated(text, engine).items():
            if not isinstance(source.value, dict):
                return  # no study at all, which is said elsewhere
            if not isinstance(source.value.get(engine), dict):
                source.value[engine] = {}
            source.value[engine][key] = value
            source.overrides[engine, key] = f"--profile {text}"


def user_profile() -> Path:
    """Where the user says once what clusters are asked for: $FOLDWISE_PROFILE, or where the system keeps settings of users.

    Never beside a study, and in no run folder: what lies there may be of somebody else, and a profile says what is run.
    """
    stated = os.environ.get("FOLDWISE_PROFILE")
    return (
        from_home(stated) if stated else Path(user_config_dir("foldwise", appauthor=False)) / "profile.yaml"
    )


def from_profile(source: YamlSource, engine: str) -> str:
    """What an engine is asked for by the user's profile, as a sentence; empty where nothing is."""
    path = str(user_profile())
    keys = [keys for keys, where in source.overrides.items() if where == path and keys[0] == engine]
    stated = [f"{key} {shown(source.value[engine][key])}" for _, key in keys]
    return f"{engine}: {some(stated)} from your profile {path}" if stated else ""


def _lay_below(source: YamlSource, engine: str) -> None:
    path = user_profile()
    if not path.is_file() or not isinstance(source.value, dict):
        if os.environ.get("FOLDWISE_PROFILE") and not path.is_file():
            raise SpecError(
                f"there is no file {path}", where="FOLDWISE_PROFILE", cure="Unset it, or name a profile."
            )
        return
    study = source.value.setdefault(engine, {})
    if not isinstance(study, dict):
        return  # which is said elsewhere
    for key, value in _of_file(path, engine, flat=False).items():
        if key not in study:
            study[key] = value
            source.overrides[engine, key] = str(path)


def _stated(text: str, engine: str) -> dict[str, object]:
    """The keys of one ``--profile``."""
    key, equals, written = text.partition("=")
    if equals and not Path(text).is_file():
        return {key.strip(): parse_value(written, where=f"--profile {text}")}
    if not Path(text).is_file() or not text:
        cure = f"For example --profile lab.yaml, or --profile workers=4; keys are {', '.join(PROFILES[engine].model_fields)}."
        what = f"there is no file {text!r}, and this is no KEY=VALUE" if text else "nothing is stated"
        raise SpecError(what, where=f"--profile {text}", cure=cure)
    return _of_file(Path(text), engine, flat=True)


def _of_file(path: Path, engine: str, *, flat: bool) -> dict[str, object]:
    """What a file says of an engine.

    Args:
        flat: whether the keys may stand without the name of an engine above them.
    """
    source = read_source(path)
    if source.errors:
        raise SpecError.together(source.error(error) for error in source.errors)
    keys = {} if source.value is None else source.value
    engines = isinstance(keys, dict) and bool(keys) and keys.keys() <= PROFILES.keys()
    if engines or not flat:  # written as it would stand in a study
        if not isinstance(keys, dict) or not keys.keys() <= PROFILES.keys():
            cure = f"Write {' or '.join(f'{name}:' for name in PROFILES)}, and the keys below it."
            raise SpecError("a profile says of which kind of cluster it is", where=str(path), cure=cure)
        keys = keys.get(engine, {})
    if not isinstance(keys, dict):
        cure = f"Its keys are {', '.join(PROFILES[engine].model_fields)}."
        raise SpecError(
            f"a profile is made of `key: value` lines, got {shown(keys)}", where=str(path), cure=cure
        )
    return keys
