"""Jobs that need no run folder: what a task gets, made of its parts."""

from types import SimpleNamespace


def job(settings, scratch, *, packed, split=None, inputs=None, beat=lambda _: None, device="cpu"):
    return SimpleNamespace(
        settings=settings,
        scratch=scratch,
        packed=packed,
        split=split,
        inputs=inputs or {},
        beat=beat,
        device=device,
    )
