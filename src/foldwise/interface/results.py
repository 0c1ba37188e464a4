"""What the Python API gives back: a run, or a verdict on scores from elsewhere, to be read, drawn and displayed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from foldwise.errors import RunError, SpecError
from foldwise.interface import models
from foldwise.judging.verdict import Verdict, read_verdict
from foldwise.runs.folder import RunFolder
from foldwise.text import some

if TYPE_CHECKING:
    import pandas as pd

    from foldwise.reporting.report_data import ReportData

NUM_SHOWN = 8  # columns beside names and factors that a notebook shows
NOT_SHOWN = ["metric", "confusion"]  # of rows: the same in all, and a table of its own in the verdict
NO_ANSWER = "No configuration has finished yet, so there is no answer."


@dataclass(frozen=True)
class Figure:
    """A figure of a report: SVG, which notebooks show as it is."""

    name: str
    svg: str

    def save(self, path: str | Path) -> Path:
        """Write it as a file; its path."""
        out = Path(path)
        out.write_text(self.svg, encoding="utf-8")
        return out

    def _repr_html_(self) -> str:
        return self.svg


@dataclass(frozen=True)
class Failed:
    """An item that ended with an error: what it was, and what the error said; the fold of a fit."""

    what: str
    message: str


class Displayed:
    """What there is to see of a verdict."""

    @property
    def verdict(self) -> Verdict:
        """The verdict as data; `docs/verdict.md` describes it."""
        raise NotImplementedError

    def _data(self) -> ReportData:
        raise NotImplementedError

    @property
    def leaderboard(self) -> pd.DataFrame:
        """One row per configuration, best first, then the baselines: name, factors, standing, metrics, costs.

        Raises:
            RunError: nothing has been judged yet.
        """
        import pandas as pd

        from foldwise.judging.tables import result_rows

        rows = [{"configuration": row.name, **row.levels, **row.cells} for row in result_rows(self.verdict)]
        # A cost that nobody measured is no column.
        board = pd.DataFrame(rows).drop(columns=NOT_SHOWN)
        return board.where(board.notna()).dropna(axis="columns", how="all")

    @property
    def figures(self) -> tuple[str, ...]:
        """The names that `figure` takes, in the order of the report."""
        return tuple(self._drawings())

    def figure(self, name: str) -> Figure:
        """A figure of the report, by (the beginning of) its name.

        Raises:
            RunError: nothing has been judged yet.
            SpecError: none is called so; lists those there are.
        """
        drawings = self._drawings()
        for title, svg in drawings.items():
            if title.startswith(str(name)):
                return Figure(title, svg)
        raise SpecError(f"no figure is called {name!r}", cure=f"There are: {some(list(drawings), 60)}.")

    def _drawings(self) -> dict[str, str]:
        from foldwise.reporting.figure_files import figures_of

        return {Path(name).stem: text for name, text in figures_of(self._data()) if name.endswith(".svg")}

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        answer = self.verdict.answer
        return answer.sentence if answer else NO_ANSWER

    def _repr_html_(self) -> str:
        from markupsafe import escape

        try:
            verdict = self.verdict
        except RunError as error:
            return f"<p>{escape(str(error))}</p>"
        warnings = "".join(f"<li>{escape(warning.message)}</li>" for warning in verdict.warnings)
        board = self.leaderboard.iloc[:, : 1 + len(verdict.configurations[0].levels) + NUM_SHOWN]
        return f"<p><b>{escape(str(self))}</b></p><ul>{warnings}</ul>{board.to_html(index=False)}"


@dataclass(frozen=True, repr=False)
class Judged(Displayed):
    """The verdict on scores from elsewhere."""

    judged: Verdict

    @property
    def verdict(self) -> Verdict:
        """The verdict as data; `docs/verdict.md` describes it."""
        return self.judged

    def _data(self) -> ReportData:
        from foldwise.reporting.report_data import of_scores

        return of_scores(self.judged)


@dataclass(frozen=True)
class Run(Displayed):
    """A run folder and what it says; wherever a folder is asked for, it stands for its own.

    `predict`, `evaluate`, `load`, `export` and `app` are the functions of these names, for this run.

    Attributes:
        trust_code: whether own code that it names may be run; so it is after `run`, whose study named it.
    """

    folder: RunFolder
    trust_code: bool = False

    @property
    def verdict(self) -> Verdict:
        """The verdict as data; `docs/verdict.md` describes it.

        Raises:
            RunError: nothing has been judged yet.
        """
        if not self.folder.verdict.exists():
            cure = f"Call foldwise.report({str(self.folder.root)!r}): it judges what is done."
            raise RunError(f"{self.folder.root} has no verdict yet", cure=cure)
        return read_verdict(self.folder.verdict)

    @property
    def failures(self) -> tuple[Failed, ...]:
        """The fits and other items that ended with an error; none where all went well."""
        verdict = self.verdict
        fits = [
            Failed(f"{row.name}, repeat {failure.repeat}, fold {failure.fold}", failure.message)
            for row in verdict.configurations
            for failure in row.failures
        ]
        return (*fits, *(Failed(item.title, item.message) for item in verdict.failed_items))

    @property
    def report(self) -> Path:
        """The HTML report."""
        return self.folder.report

    # The functions themselves, so that a method has every option of its function, and of its command.
    predict, evaluate, load, export, app = (
        models.predict,
        models.evaluate,
        models.load,
        models.export,
        models.app,
    )

    def __fspath__(self) -> str:
        return str(self.folder.root)

    def _data(self) -> ReportData:
        from foldwise.reporting.report_data import gather

        return gather(self.folder)
