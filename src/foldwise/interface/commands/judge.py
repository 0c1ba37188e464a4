"""`foldwise judge`: the verdict on scores of other programs: what was read, the leaderboard, the answer, warnings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from foldwise.interface.terminal import console, hang, plain_table, say_warnings
from foldwise.storage import write_json
from foldwise.text import broken, count

if TYPE_CHECKING:
    from foldwise.judging.external.verdict import ExternalScores
    from foldwise.judging.verdict import Verdict
    from foldwise.judging.verdict_configurations import ConfigurationResult
    from foldwise.judging.verdict_textbook import TextbookSection

MAX_ROWS = 40
WITH_P = ("corrected_t", "paired_t", "wilcoxon", "mcnemar")
WIDTH_OF_NUMBERS = 62  # columns that all numbers of a row take
MAX_TITLE = 20
STYLES = {"winner": "bold", "could be best": "", "worse": "dim", "incomplete": "dim"}
SAID = {"winner": "best estimate", "worse": "ruled out", "incomplete": "not compared"}


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
OneScale = Annotated[
    bool,
    typer.Option(
        "--one-scale", help="Scores that look like two scales, such as fractions and per cent, are on one."
    ),
]
Margin = Annotated[
    float | None,
    typer.Option(help="A difference of no consequence. [default: 0.01 for bounded scores, else 0]"),
]
Alpha = Annotated[float, typer.Option(help="1 - confidence; above 0 and below 0.5.")]
Textbook = Annotated[
    bool,
    typer.Option("--textbook", help="Also the tests that reviewers ask for; nothing is decided by them."),
]
Out = Annotated[
    Path | None, typer.Option(help="A folder that gets report.html, figures, verdict.json and tables.")
]


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
    one_scale: OneScale = False,
    equivalent_within: Margin = None,
    alpha: Alpha = 0.05,
    textbook: Textbook = False,
    out: Out = None,
) -> None:
    """The verdict on scores from elsewhere: tables, spreadsheets saved as CSV, summaries of nnU-Net. Trains nothing."""
    from foldwise.judging.external.options import ScoreOptions
    from foldwise.judging.external.verdict import judged_files

    options = ScoreOptions(
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
        one_scale=one_scale,
        equivalent_within=equivalent_within,
        alpha=alpha,
        textbook=textbook,
    )
    verdict, scores = judged_files(files, options)
    say_verdict(verdict)
    if out is not None:
        save_verdict(out, verdict, scores)


def say_verdict(verdict: Verdict) -> None:
    """What was recognised, the leaderboard, the answer in a sentence, and every warning with its cure."""
    out = console()
    for statement in (*verdict.recognised, _size(verdict)):
        hang(out, Text("  "), Text(statement))
    out.print()
    say_warnings(out, verdict.left_out)
    _say_leaderboard(out, verdict)
    out.print()
    if verdict.answer is not None:
        hang(out, Text(""), Text(verdict.answer.sentence, "bold"))
    for effect in verdict.factors.factors if verdict.factors else ():
        hang(out, Text("  · ", "dim"), Text(f"{effect.factor}: {effect.sentence}"))
    if verdict.textbook:
        out.print()
        _say_textbook(out, verdict.textbook)
    say_warnings(out, verdict.cautions)


def _size(verdict: Verdict) -> str:
    """``5 configurations, 92 cases in 10 groups, 3 repeats; higher is better; differences within 0.01 ...``."""
    metric, groups = verdict.metric, verdict.num_groups
    parts = [count(len(verdict.configurations), "configuration"), count(verdict.num_images, "case")]
    if groups:
        parts[1] += f" in {count(groups, 'group')}"
    sizes = {"fold": verdict.folds, "repeat": verdict.repeats}
    parts += [count(number, noun) for noun, number in sizes.items() if number > 1]
    better = "higher" if metric.higher_is_better else "lower"
    sizes_and_metric = f"{', '.join(parts)}; {metric.title}, {better} is better"
    margin = metric.equivalent_within
    return sizes_and_metric + (f"; differences within {margin:g} are of no consequence" if margin else "")


def _say_leaderboard(out: Console, verdict: Verdict) -> None:
    configurations = verdict.configurations
    runs = any(configuration.run_sd for configuration in configurations)
    title = verdict.metric.title
    headings = [
        title if len(title) <= MAX_TITLE else "score",
        f"{verdict.confidence} interval",
        *(["run sd"] if runs else []),
        "ranks",
        "wins",
        "",
    ]
    table = plain_table("configuration", *headings, overflow="fold")  # never cut: two names may begin alike
    room = 1000 if out.soft_wrap else max(out.width - WIDTH_OF_NUMBERS, 16)
    for configuration in configurations[:MAX_ROWS]:
        cells = _cells(configuration, runs=runs)
        name = Text(broken(configuration.name, room))
        table.add_row(name, *cells, style=STYLES[configuration.verdict])
    out.print(table)
    if len(configurations) > MAX_ROWS:
        more = len(configurations) - MAX_ROWS
        out.print(f"... and {more} more; --out FOLDER writes all of them", style="dim", markup=False)


def _cells(configuration: ConfigurationResult, *, runs: bool) -> Sequence[str]:
    from foldwise.judging.wording import ends_of, show, written

    run_sd, p_wins = configuration.run_sd, configuration.p_wins
    estimate = "" if configuration.estimate is None else written(configuration)
    ranks = _range(configuration.rank_low, configuration.rank_high)
    wins = "" if p_wins is None else f"{100 * p_wins:.0f} %"
    sd = [] if not runs else ["" if run_sd is None else show(run_sd)]
    return [
        estimate,
        ends_of(configuration),
        *sd,
        ranks,
        wins,
        SAID.get(configuration.verdict, configuration.verdict),
    ]


def _range(low: int | None, high: int | None) -> str:
    if low is None:
        return ""
    return str(low) if low == high else f"{low} to {high}"


def _say_textbook(out: Console, textbook: TextbookSection) -> None:
    """The p values of every textbook test that these scores allow, as they are and (Holm) for all rivals together."""
    shown = [name for name in WITH_P if any(getattr(pair, name) for pair in textbook.pairs)]
    against = f"Textbook tests against {textbook.against}, p (Holm's in brackets); foldwise does not decide by them:"
    hang(out, Text(""), Text(against))
    titles = [textbook.tests[name].title.replace(" test", "") for name in shown]
    table = plain_table("configuration", *titles, overflow="fold")
    for pair in textbook.pairs[:MAX_ROWS]:
        tests = [getattr(pair, name) for name in shown]
        table.add_row(Text(pair.id), *(f"{test.p:.3g} ({test.p_holm:.3g})" if test else "" for test in tests))
    out.print(table)
    if textbook.friedman:
        ranks = textbook.friedman
        chi2 = f"Friedman χ² {ranks.chi2:.1f}, p {ranks.p:.3g}; critical difference of mean ranks"
        hang(out, Text(""), Text(f"{chi2} {ranks.critical_difference:.2f}"))


def save_verdict(folder: Path, verdict: Verdict, scores: ExternalScores) -> None:
    """Write what a run writes, as far as scores alone allow; every file whole or not at all."""
    from foldwise.judging.external.verdict import write_case_scores
    from foldwise.judging.tables import write_leaderboard, write_results
    from foldwise.reporting.figure_files import write_figures
    from foldwise.reporting.report import write_page
    from foldwise.reporting.report_data import of_scores

    write_json(folder / "verdict.json", verdict.dump())
    write_leaderboard(folder / "leaderboard.csv", verdict)
    write_results(folder / "results.csv", verdict)
    write_case_scores(folder / "scores.csv", scores)
    data = of_scores(verdict)
    write_page(folder / "report.html", data)
    write_figures(data, folder / "figures")
    lines = {
        "Report": folder / "report.html",
        "Figures": folder / "figures",
        "Verdict": folder / "verdict.json",
        "Tables": ", ".join(str(folder / f"{name}.csv") for name in ("leaderboard", "results", "scores")),
    }
    out = console()
    out.print()
    for what, where in lines.items():
        out.print(f"{what + ':':9}{where}", markup=False)
