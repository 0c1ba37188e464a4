"""Verdicts as verdict.json has them; every one that a test asks for must survive being written and read."""

import json

from foldwise.judging import judge as runs
from foldwise.judging.external import verdict as external
from foldwise.judging.verdict import Verdict


def judge(folder):
    """The record of a run's verdict."""
    return _record(runs.judge(folder))


def judge_files(paths, asked=None):
    """The record of a verdict on scores from elsewhere."""
    return _record(external.judged_files(paths, asked)[0])


def _record(verdict):
    record = json.loads(json.dumps(verdict.dump(), allow_nan=False))
    assert Verdict.load(record) == verdict
    assert Verdict.load(record).dump() == record
    return record
