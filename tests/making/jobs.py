"""Jobs that need no run folder: what a task gets, made of its parts."""

from types import SimpleNamespace

from foldwise.runs.checkpoints import Checkpoints


def job(
    settings,
    scratch,
    *,
    packed,
    kind="fit",
    split=None,
    inputs=None,
    beat=lambda _: None,
    device="cpu",
    checkpoints=None,
):
    return SimpleNamespace(
        item=SimpleNamespace(kind=kind),
        settings=settings,
        scratch=scratch,
        packed=packed,
        split=split,
        inputs=inputs or {},
        beat=beat,
        device=device,
        checkpoints=checkpoints or Checkpoints(),
    )
