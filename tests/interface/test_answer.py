"""What a run says at its end: first what the answer knows nothing of, then the answer, then what to be careful about."""

from make_run import RUNS, make_run

from foldwise.interface.observer import say_answer
from foldwise.judging.judge import judge


def test_configurations_that_are_left_out_are_named_before_the_answer(tmp_path, capsys):
    folder, _ = make_run(tmp_path / "run", RUNS["failed"])
    verdict = judge(folder)
    (left_out,) = verdict.left_out
    say_answer(folder, verdict)
    told = " ".join(capsys.readouterr().out.split())
    assert told.index(" ".join(left_out.message.split())[:60]) < told.index(verdict.answer.sentence[:40])
    assert told.count(left_out.code) == 1
    assert all(told.index(warning.code) > told.index(left_out.code) for warning in verdict.cautions)
