"""The section on textbook tests: it shows what the verdict holds, and only where it was asked for."""

from dataclasses import replace

import pytest
from altered import altered
from judged import judge
from make_run import RUNS, make_run

from foldwise.judging.sections.textbook import TESTS
from foldwise.reporting.report import render
from foldwise.reporting.report_data import gather
from foldwise.reporting.sections.verdict.leaderboard import WITH_P, textbook_section
from foldwise.runs.folder import read_json, write_json

WANTED = {
    "labels": replace(RUNS["multilabel"], images=24),
    "masks": replace(RUNS["segmentation6"], images=12, size=48),
}


@pytest.fixture(scope="module", params=WANTED)
def asked(request, tmp_path_factory):
    folder, _ = make_run(tmp_path_factory.mktemp("runs") / request.param, WANTED[request.param])
    study = read_json(folder.study_record)
    study["judge"]["textbook"] = True
    if request.param == "labels":
        study["judge"]["metric"] = "exact_match"
    write_json(folder.study_record, study)
    judge(folder)
    return folder


def test_a_row_for_every_configuration_against_the_winner(asked):
    data = gather(asked)
    told, held = data.verdict.textbook, textbook_section(data)["textbook"]
    names = data.names
    assert held["winner"] == data.winner.name == names[told.against]
    assert [row["name"] for row in held["rows"]] == [names[pair.id] for pair in told.pairs]
    columns = [name for name in WITH_P if getattr(told.pairs[0], name)]
    assert held["columns"] == [TESTS[name].title for name in columns]
    for row, pair in zip(held["rows"], told.pairs, strict=True):
        assert len(row["cells"]) == 1 + len(columns) + 2
        assert [cell["value"] for cell in row["cells"][1:-2]] == [getattr(pair, name).p for name in columns]
        assert row["cells"][-2]["value"] == pair.correlated_t.better
        assert row["cells"][-1]["value"] == told.friedman.mean_ranks[pair.id]
    ranks, far = told.friedman.mean_ranks, told.friedman.critical_difference
    behind = [one for one, rank in ranks.items() if rank > ranks[told.against] + far]
    assert (held["ranks"]["beyond"], held["ranks"]["of"]) == (len(behind), len(ranks) - 1)


def test_the_page_says_that_nothing_is_decided_by_them(asked):
    page = render(gather(asked))
    assert '<section id="textbook">' in page
    assert "foldwise does not decide by them." in page
    for test in textbook_section(gather(asked))["textbook"]["tests"]:
        assert test.source in page


def test_it_is_there_only_where_it_is_asked_for(asked):
    data = gather(asked)
    without = altered(data, textbook=None)
    assert textbook_section(without) is None
    assert 'id="textbook"' not in render(without)
