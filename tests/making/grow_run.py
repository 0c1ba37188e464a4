"""A run that grows by as many items as a test asks for, all of them at one instant."""

import os
import shutil

from foldwise.runs.folder import RunFolder

WRITTEN_LATE = ("done", "verdict.json", "results.csv", "scores.csv")


def growing(made, root):
    """The run `made` as it was before anything was done, and a function that commits its next so many items.

    Who looks meanwhile sees all of them or none: `done` is a link to a folder that is replaced in one step.
    """
    folder = RunFolder(root)
    shutil.copytree(made.root, root, ignore=shutil.ignore_patterns(*WRITTEN_LATE))
    waiting = [item.id for item in folder.load_plan().items]
    committed = []

    def commit(number):
        committed.extend(waiting[:number])
        del waiting[:number]
        now = root.with_name(f"{root.name}-{len(committed)}")
        now.mkdir()
        for own in committed:
            shutil.copytree(made.done(own), now / own)
        link = root / "next"
        os.symlink(now, link)
        link.replace(root / "done")

    commit(0)
    return folder, commit
