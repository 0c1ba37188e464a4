"""The fields of a verdict in the words of docs/verdict.md."""

import types
import typing

from pydantic import BaseModel

# Every class of a verdict with the heading of its table; those that are not here are parts of others.
HEADINGS = {
    "Verdict": "verdict.json",
    "MetricFacts": "A metric",
    "DecidingMetric": "The metric that decides",
    "Answer": "The answer",
    "ConfigurationResult": "A configuration",
    "Standing": "Standing of a configuration",
    "ScoreEstimate": "A score with its interval",
    "MetricEstimate": "A metric of a configuration",
    "FoldScore": "Score of a fold",
    "ScoresBySplit": "Scores by split",
    "SplitScores": "Scores on a split",
    "PrecisionRecall": "Precision and recall",
    "ClassPrecisionRecall": "Precision and recall of a class",
    "Cost": "Cost",
    "Failure": "A failed fit",
    "TrivialBaseline": "A trivial predictor",
    "ShallowBaseline": "A shallow baseline",
    "VerdictWarning": "A warning",
    "FailedItem": "A failed item",
    "SelectionSection": "Selection",
    "Pair": "A pair",
    "FactorsSection": "Factors",
    "VarianceShare": "A share of the differences",
    "FactorEffect": "A factor",
    "LevelMean": "A level",
    "LevelPair": "A pair of levels",
    "MatchedSet": "A matched set",
    "AATestSection": "AA test",
    "AATestPairs": "Pairs of equals",
    "ThresholdsSection": "Thresholds",
    "ClassThreshold": "Thresholds of a label",
    "ThresholdMethodScores": "Scores of a method",
    "BoundarySection": "Boundaries",
    "BoundaryDistances": "Distances of a configuration",
    "ClassDistance": "Distances of a class",
    "CalibrationSection": "Calibration",
    "ConfigurationCalibration": "Calibration of a configuration",
    "TemperatureRange": "Temperature",
    "FoldTemperature": "Temperature of a fit",
    "Reliability": "Reliability",
    "ReliabilityBin": "A bin",
    "Overconfidence": "Overconfidence",
    "ExternalSection": "External set",
    "TextbookSection": "Textbook tests",
    "TestDescription": "Description of a test",
    "TextbookPair": "Tests of a pair",
    "AdjustedP": "P values",
    "StatisticTest": "A test with a statistic",
    "McNemarTest": "McNemar test",
    "PosteriorShares": "Posterior probabilities",
    "FriedmanTest": "Friedman test",
    "RobustnessSection": "Robustness",
    "ConfigurationRobustness": "Robustness of a configuration",
    "Condition": "A condition",
    "CostFront": "Score against a cost",
    "FrontMember": "On the front",
    "SearchSection": "Search",
    "SearchArm": "Searches of a configuration",
    "SearchChoice": "What a fold chose",
    "RaceSection": "Race",
    "RaceLook": "A look of a race",
    "ModelThroughput": "Speed",
    "SpeedPoint": "Speed at a batch size",
    "Speed": "Images per second",
}
WORDS = {str: "text", int: "whole number", float: "number", bool: "true or false", type(None): "null"}


def anchor(heading):
    """As GitHub makes it of a heading."""
    return heading.lower().replace(" ", "-").replace(".", "")


def own_fields(model):
    """Name and annotation of the fields that a class adds to those of its base."""
    hints = typing.get_type_hints(model, include_extras=True)
    return {name: hints[name] for name in model.model_fields if name in model.__annotations__}


def type_words(annotation):
    """``list of [Score of a fold](#score-of-a-fold)``."""
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return type_words(args[0])
    if origin is typing.Literal:
        return " or ".join(f"`{value}`" for value in args)
    if origin in (types.UnionType, typing.Union):
        return " or ".join(dict.fromkeys(type_words(arg) for arg in args))
    if origin is tuple:
        return f"list of {type_words(args[0])}"
    if origin is dict:
        return f"by name: {type_words(args[1])}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        heading = HEADINGS[annotation.__name__.partition("[")[0]]
        return f"[{heading}](#{anchor(heading)})"
    # Of a pair, which a verdict has by ids.
    return "text" if isinstance(annotation, typing.TypeVar) else WORDS[annotation]
