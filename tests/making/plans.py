"""Plans of small studies."""

from dataclasses import replace
from unittest.mock import patch

from foldwise.runs.encoder_passes import SQUARE
from foldwise.runs.items import KINDS
from foldwise.runs.planning import make_plan
from foldwise.runs.searching.search import plan_searches
from foldwise.study.configurations import configurations
from foldwise.study.reading import study_from_dict

TWO_FOLDS = [(0, 0, "s0"), (0, 1, "s1")]


def plan_of(
    compare=None,
    *,
    task="binary_classification",
    splits=TWO_FOLDS,
    packed="p",
    versions=None,
    images=SQUARE,
    train=None,
    **top,
):
    train = {"model": "conv"} if train is None else train
    study = study_from_dict(
        {"study": "a", "data": {"path": "x"}, "compare": compare or {}, "train": train, **top}
    )
    rows = {kind: replace(KINDS[kind], version=version) for kind, version in (versions or {}).items()}
    with patch.dict(KINDS, rows):
        about = {"task": task, "packed_digest": packed, "splits": splits}
        if study.search is not None:
            return plan_searches(study, configurations(study), **about)
        return make_plan(study, configurations(study), images=images, **about)
