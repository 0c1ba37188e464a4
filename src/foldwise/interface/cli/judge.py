"""The command `foldwise judge`: the verdict on scores that come from elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Files = Annotated[
    list[Path], typer.Argument(metavar="FILE...", help="Tables, summary.json of nnU-Net, or run folders.")
]
Columns = Annotated[
    list[str], typer.Option(metavar="COL", help="The column that names what is compared; several together.")
]
Scores = Annotated[
    list[str], typer.Option(metavar="COL", help="The column of scores; of a wide table one for each.")
]
Case = Annotated[str | None, typer.Option(metavar="COL", help="The column that names the image.")]
Repeat = Annotated[str | None, typer.Option(metavar="COL", help="Which seed or repetition; or none.")]
Fold = Annotated[str | None, typer.Option(metavar="COL", help="Which test fold; or none.")]
Group = Annotated[str | None, typer.Option(metavar="COL", help="Whose images belong together; or none.")]
Task = Annotated[str | None, typer.Option(metavar="NAME", help="Which task, where a table has several.")]
Named = Annotated[
    str | None, typer.Option(metavar="NAME", help="What the scores are; of a run, a metric to judge by.")
]
Better = Annotated[
    bool | None,
    typer.Option("--higher-is-better/--lower-is-better", help="Which way is better. [default: by the name]"),
]
Bounded = Annotated[
    bool | None,
    typer.Option(
        "--bounded/--unbounded", help="Whether scores lie between 0 and 1. [default: by the values]"
    ),
]
Margin = Annotated[
    float | None,
    typer.Option(min=0, help="A difference of no consequence. [default: 0.01 for bounded scores, else 0]"),
]
Alpha = Annotated[float, typer.Option(min=0.0001, max=0.4999, help="1 - confidence.")]
Textbook = Annotated[
    bool,
    typer.Option("--textbook", help="Also the tests that reviewers ask for; nothing is decided by them."),
]
Out = Annotated[Path | None, typer.Option(help="A folder that gets verdict.json and leaderboard.csv.")]


def judge(  # noqa: PLR0913 - each is an option
    files: Files,
    configuration: Columns = [],  # noqa: B006 - typer wants the default value itself
    case: Case = None,
    score: Scores = [],  # noqa: B006
    repeat: Repeat = None,
    fold: Fold = None,
    group: Group = None,
    task: Task = None,
    metric: Named = None,
    higher_is_better: Better = None,
    bounded: Bounded = None,
    equivalent_within: Margin = None,
    alpha: Alpha = 0.05,
    textbook: Textbook = False,
    out: Out = None,
) -> None:
    """The verdict on scores from elsewhere: tables, spreadsheets saved as CSV, summaries of nnU-Net. Trains nothing."""
    from foldwise.interface.printing.judge import save_verdict, say_verdict
    from foldwise.judging.external.asked import Asked
    from foldwise.judging.external.verdict import judge_files

    asked = Asked(
        configuration=tuple(configuration),
        case=case,
        score=tuple(score),
        repeat=repeat,
        fold=fold,
        group=group,
        task=task,
        metric=metric,
        higher_is_better=higher_is_better,
        bounded=bounded,
        equivalent_within=equivalent_within,
        alpha=alpha,
        textbook=textbook,
    )
    verdict = judge_files(files, asked)
    say_verdict(verdict)
    if out is not None:
        save_verdict(out, verdict)
