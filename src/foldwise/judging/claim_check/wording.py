"""The words that the checker knows: tables, to which a line adds a word."""

from __future__ import annotations

import re
from dataclasses import dataclass

# Families of metrics: a name of a column or of a metric, and all that a text may call it. Compared as `normal` has it.
FAMILIES = {
    "balancedaccuracy": ("balanced accuracy", "balanced accuracies", "bacc"),
    "accuracy": ("accuracy", "accuracies", "acc"),
    "precision": ("precision", "positive predictive value", "ppv"),
    "recall": ("recall", "sensitivity", "true positive rate", "tpr", "sensitivity recall"),
    "specificity": ("specificity", "true negative rate", "tnr"),
    "f1": ("f1", "f1 score", "f1 scores", "f score", "f measure"),
    "dice": ("dice", "dice score", "dice scores", "dice coefficient", "dsc"),
    "iou": ("iou", "intersection over union", "jaccard", "jaccard index"),
    "auroc": ("auroc", "auc", "roc auc", "auc roc", "area under the roc curve", "area under the curve"),
    "averageprecision": ("average precision", "ap", "map", "auprc"),
    "mcc": ("mcc", "matthews correlation coefficient"),
    "kappa": ("kappa",),
    "nsd": ("nsd", "surface dice", "normalised surface distance", "normalized surface distance"),
    "hd95": ("hd95", "hausdorff distance", "hausdorff"),
    "brier": ("brier", "brier score"),
    "logloss": ("log loss", "log losses", "cross entropy"),
    "ece": ("expected calibration error", "calibration error"),
    "trainingtime": ("training time", "train time", "training times", "time to train", "to train", "training took", "train s"),
    "inferencetime": ("inference time", "inference times", "prediction time", "latency", "latencies", "latency ms"),
    "memory": ("peak memory", "memory"),
    "energy": ("energy", "electricity"),
    "parameters": ("parameters", "number of parameters", "num params"),
}  # fmt: skip
LOWER_BETTER = (
    "hd95",
    "brier",
    "logloss",
    "ece",
    "trainingtime",
    "inferencetime",
    "memory",
    "energy",
    "parameters",
)
COSTLY = ("trainingtime", "inferencetime", "memory", "energy", "parameters", "kappa")
# Costs of a verdict: what they are called, and the unit of times.
COSTS = {
    "train_s": ("training time", "s"),
    "latency_ms": ("latency", "ms"),
    "peak_memory_mb": ("peak memory in MB", ""),
    "energy_j": ("energy in J", ""),
    "parameters": ("parameters", ""),
}


def normal(words: str) -> str:
    """A name as names are compared: letters and digits alone, in lower case; ``ResNet-18`` is ``resnet18``."""
    return re.sub(r"[\W_]+", "", words.casefold())


_FAMILY = {normal(word): family for family, words in FAMILIES.items() for word in words}
_STEMS = re.compile(
    r"(macro|micro|weighted|pooled|imgmacro|img|mean|score|test|val|s|secs?|mins?|ms|hours?)$"
)


def family_of(name: str) -> str | None:
    """The family of metrics that a name belongs to: ``dice_img_macro`` is of ``dice``; None where it is unknown."""
    bare = normal(name)
    while bare:
        if bare in _FAMILY:
            return _FAMILY[bare]
        shorter = _STEMS.sub("", bare)
        if shorter == bare:
            break
        bare = shorter
    for prefix in ("macro", "micro", "weighted", "mean", "test", "val", "validation"):
        if normal(name).startswith(prefix) and normal(name) != prefix:
            return family_of(normal(name).removeprefix(prefix))
    return None


def is_metric(bare: str) -> bool:
    """Whether a word, as `normal` has it, is a metric's and nothing else in any text."""
    return (_FAMILY.get(bare) not in (None, *COSTLY) and len(bare) > 3) or bare in (
        "auc",
        "iou",
        "dsc",
        "f1",
        "mcc",
    )


def is_lower_better(name: str) -> bool:
    """Whether less is better, as far as the family says."""
    return family_of(name) in LOWER_BETTER


@dataclass(frozen=True)
class Word:
    """A word that compares.

    Attributes:
        pattern: of it.
        way: ``better``, ``worse``, ``more`` or ``less``.
        merit: it speaks of merit, and not of a number: ``outperforms``, against ``higher``.
        of: the families of metrics that it can only speak of; empty for any.
    """

    pattern: str
    way: str
    merit: bool = True
    of: tuple[str, ...] = ()


TIMES = ("trainingtime", "inferencetime")
BREAK = r"[;:]\s|\b(?:but|while|whereas|although|though|because|since|such as|for example|for instance|like|suggesting|which|and thus|and hence|vs|versus)\b|, (?=with |often |so )"
# What may follow "on", "for" or "with" without narrowing a claim to something that a table cannot know.
SCOPES = {
    "accuracy", "architectures", "average", "bold", "both", "chance", "choice", "classification", "comparison", "confidence", "configuration",
    "configurations", "contrast", "cross", "data", "dataset", "datasets", "detail", "each", "equal", "estimate", "estimates", "every", "evaluation",
    "experiment", "experiments", "fact", "factor", "factors", "fold", "folds", "general", "group", "groups", "held", "image", "images", "it",
    "luck", "matched", "mean", "method", "methods", "model", "models", "most", "network", "networks", "new", "other", "others", "our", "pairs", "particular",
    "performance", "ranking", "repeats", "respect", "result", "results", "same", "score", "scores", "segmentation", "selection", "setting", "settings",
    "specific", "standing", "study", "studies", "table", "task", "tasks", "terms", "test", "tests", "that", "their", "them", "these", "this", "those",
    "summary", "addition", "short", "conclusion", "brief", "practice", "line", "order", "principle", "total", "training", "turn", "unseen", "validation", "which", "layer", "layers", "head", "heads", "classifier", "optimizer", "optimiser",
    "backbone", "batch", "its", "all", "any", "not", "being", "one", "two", "case", "cases", "different", "various", "everything", "probability", "probabilities",
}  # fmt: skip
COMPARING = (
    Word(r"(?:out-?performed|beaten|surpassed|exceeded) by", "worse"),
    Word(r"(?:better|superior|stronger|preferable)", "better"),
    Word(r"out-?perform(?:s|ed|ing)?|beats?|beating|surpass(?:es|ed|ing)?|wins? (?:against|over)|improve[sd]? (?:on|over|upon)", "better"),
    Word(r"(?:worse|inferior|weaker|poorer)|under-?perform(?:s|ed|ing)?|loses? (?:to|against)|lags? behind", "worse"),
    Word(r"higher|exceed(?:s|ed|ing)?|greater", "more", merit=False),
    Word(r"lower", "less", merit=False),
    Word(r"more accurate(?:ly)?", "better", of=("accuracy", "balancedaccuracy")),
    Word(r"less accurate(?:ly)?", "worse", of=("accuracy", "balancedaccuracy")),
    Word(r"faster|quicker", "less", merit=False, of=TIMES),
    Word(r"slower|longer", "more", merit=False, of=TIMES),
)  # fmt: skip
SUPERLATIVE = (
    Word(r"highest|maximum|maximal|greatest|largest", "more", merit=False),
    Word(r"lowest|minimum|minimal|smallest", "less", merit=False),
    Word(r"best (?:estimate|mean)", "better", merit=False),
    Word(r"worst (?:estimate|mean)", "worse", merit=False),
    Word(r"best|top(?:-performing)?|strongest", "better"),
    Word(r"worst|poorest|weakest", "worse"),
    Word(r"most accurate", "better", of=("accuracy", "balancedaccuracy")),
    Word(r"least accurate", "worse", of=("accuracy", "balancedaccuracy")),
    Word(r"fastest|quickest|shortest", "less", merit=False, of=TIMES),
    Word(r"slowest|longest", "more", merit=False, of=TIMES),
)
ALWAYS = r"(?:in|for|across|over|under|on|with) (?:all|every|each|any)\b|consistently|always|without exception|regardless of|invariably|whatever the|throughout|uniformly"
MOSTLY = r"generally|usually|mostly|typically|often|in most|in general|in the majority|tends? to"
SIGNIFICANT = r"significant(?:ly)?|beyond chance|statistically"
HEDGED = r"may|might|could|would|should|perhaps|possibly|likely|probably|potential(?:ly)?|suggest(?:s|ed|ing)?|seem(?:s|ed|ing|ingly)?|appears?|appeared|expect(?:s|ed)?|hypothesi[sz]e[sd]?|believe|if"
NEGATED = r"not|n't|never|no|neither|nor|cannot|hardly|fail(?:s|ed)? to|none"
OTHERS = r"(?:all|every|each|any)(?: of)?(?: the)? (?:other|others|rest|remaining|alternative|competitor)s?|the others|the rest|everything else|all (?:competing|competitors)|(?:the|all|both)(?: \d+)? other (?:configurations?|models?|networks?|methods?)"
ALIKE = r"no (?:significant |real |statistically significant )?differences?|equivalent|comparabl[ey]|similar(?:ly)?|on (?:a )?par|equal(?:ly)? (?:good|well)?|identical(?:ly)?|as (?:good|accurate) as|(?:perform(?:s|ed)?|work(?:s|ed)?|did|does) as well as|indistinguishable|the same(?= [□■]| scores?\b| results?\b| performance\b)|(?:does|did|do) not differ"
OPEN = r"(?:cannot|could not|can not|can't) be (?:told apart|distinguished)|not (?:be )?distinguishable|indistinguishable|no significant difference|not significantly|no statistically significant|(?:does|did|do) not differ significantly"
ORDINALS = {
    "first": 1,
    "second": 2,
    "third": 3,
    "fourth": 4,
    "fifth": 5,
    "sixth": 6,
    "seventh": 7,
    "eighth": 8,
    "ninth": 9,
    "tenth": 10,
}


def pattern(words: str) -> re.Pattern[str]:
    """These words, wherever they stand by themselves."""
    return re.compile(rf"(?<![\w-])(?:{words})(?![\w])", re.IGNORECASE)
