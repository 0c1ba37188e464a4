"""What other people call scores, in columns and in texts: the kind that a name belongs to, and which way is better.

A name is read word by word, so that units, parts of a data set and organs around a measure are no matter: ``HD95_mm``,
``Hausdorff Distance 95 (tumour)`` and ``valLoss`` are told as ``hd95`` and ``loss`` are. What no word tells is None:
nobody may take a distance for a quality because its name was not in a list.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from unicodedata import normalize

# By the kind of score: what its columns and words are called. Names are compared without case, spaces and signs.
SPELLINGS = {
    "balancedaccuracy": ("balanced accuracy", "balanced accuracies", "bacc"),
    "accuracy": ("accuracy", "accuracies", "acc"),
    "precision": ("precision", "positive predictive value", "ppv"),
    "recall": ("recall", "sensitivity", "true positive rate", "tpr", "sensitivity recall"),
    "specificity": ("specificity", "true negative rate", "tnr"),
    "f1": ("f1", "f1 score", "f score", "f measure"),
    "dice": ("dice", "dice score", "dice coefficient", "dsc"),
    "iou": ("iou", "intersection over union", "jaccard", "jaccard index"),
    "auroc": ("auroc", "auc", "roc auc", "auc roc", "area under the roc curve", "area under the curve"),
    "averageprecision": ("average precision", "ap", "map", "auprc"),
    "mcc": ("mcc", "matthews correlation", "matthews correlation coefficient"),
    "kappa": ("kappa", "cohen kappa", "cohen's kappa", "weighted kappa", "quadratic weighted kappa", "qwk"),
    "nsd": ("nsd", "surface dice", "normalised surface distance", "normalized surface distance"),
    "hd95": ("hd95", "hd", "hausdorff distance", "hausdorff"),
    "brier": ("brier", "brier score"),
    "logloss": ("log loss", "cross entropy"),
    "ece": ("ece", "expected calibration error", "calibration error"),
    "loss": ("loss",),
    "error": ("error", "error rate"),
    "distance": ("assd", "asd", "masd"),
    "residual": ("mae", "mse", "rmse"),
}
# What a name may have around it: ``dice_img_macro``, ``test accuracy``.
AROUND = re.compile(
    r"^(macro|micro|weighted|mean|test|val|validation)|(macro|micro|weighted|linear|quadratic|pooled|img|mean|score|test|val|s)$"
)

# Words and phrases of measures by (higher is better, a share: from 0 to 1, or to 100 in per cent).
MEASURES = {
    (True, True): (
        "dice, dsc, cldice, iou, miou, biou, giou, mean iu, fmax, sens, spec, g mean, jaccard, tanimoto, overlap, f1, f2, fscore, fbeta, f score, f measure, f beta, bf, bfscore, "
        "accuracy, acc, accuracies, bacc, precision, recall, sensitivity, specificity, tpr, tnr, ppv, npv, "
        "true positive rate, true negative rate, positive predictive value, negative predictive value, "
        "auc, auroc, roc, auprc, prauc, aupr, area under, average precision, ap, map, ar, aji, pq, sq, rq, dq, "
        "panoptic quality, nsd, surface dice, normalised surface distance, normalized surface distance, norm surface distance, dice similarity, "
        "intersection over union, exact match, correct rate, hit rate, success rate, detection rate, froc, ndcg, mrr"
    ),
    (True, False): (
        "mcc, kappa, qwk, matthews, correlation, corr, pearson, spearman, kendall, pcc, plcc, srcc, srocc, ccc, icc, ncc, "
        "r2, r squared, rsquared, explained variance, concordance, c index, cindex, psnr, snr, cnr, signal to noise, "
        "ssim, msssim, structural similarity, similarity, agreement, rand index, ari, nmi, ami, mutual information, "
        "log likelihood, log lik, loglikelihood, loglik, likelihood, elbo, youden, informedness, true positive, true negative, tp, tn, "
        "hit, correct, success, bleu, rouge, inception score, quality"
    ),
    (False, True): (
        "fpr, fnr, fdr, eer, frr, wer, cer, voe, error rate, false positive rate, false negative rate, "
        "false discovery rate, false pos rate, false neg rate, miss rate, failure rate, misclassification rate, overlap error"
    ),
    (False, False): (
        "loss, error, err, hd, hausdorff, distance, dist, assd, asd, masd, ahd, mhd, chamfer, "
        "medae, epe, tre, fppi, rms, abs rel, levenshtein, hinge, mae, mse, rmse, nrmse, rmsd, rmsle, msle, mape, smape, residual, deviation, discrepancy, "
        "absolute difference, abs difference, volume difference, absolute volume difference, avd, ravd, "
        "brier, nll, bce, negative log likelihood, neg log likelihood, log loss, logloss, cross entropy, crossentropy, "
        "ece, mce, perplexity, ppl, divergence, kl, kld, jsd, wasserstein, emd, mmd, crps, "
        "variation of information, vi, voi, lpips, fid, kid, niqe, brisque, dissimilarity, disagreement, "
        "fp, fn, false, false positive, false negative, false pos, false neg, miss, missed, mistake, wrong, incorrect, undetected, "
        "misclassified, misclassification, failure, failed, outlier, violation, spurious, "
        "latency, runtime, inference time, training time, run time, prediction time, "
        "fehler, fehlerrate, verlust, abstand, distanz, erreur, perte, écart, errore, perdita, distanza, pérdida, "
        "perdida, distancia, erro, perda, distância, fout, verlies, afstand, fel, förlust, avstånd, błąd, "
        "ошибка, потеря, потери, расстояние, 误差, 错误, 損失, 损失, 距离, 誤差, 錯誤, 距離, 오차, 오류, 손실, 거리"
    ),
}  # fmt: skip
# After a quality these are what the name means: ``dice_loss``, ``accuracy error``. Of ``dice_hd`` nobody knows.
LAST_WORDS = frozenset(("loss", "error", "err", "error rate"))
# With one of these a measure may be turned round, or is not what is measured: ``1 - dice``, ``neg_mae``, ``dice_std``.
_TURNING = (
    "minus neg negative negated inverse inverted inv reciprocal complement drop gap delta difference diff "
    "change gain improvement reduction increase decrease rank ranking std sd stdev stddev sem variance var ci "
    "iqr bias signed threshold cutoff tolerance weight budget penalty free robustness resilience no non "
    "without "
    # How far it spreads, or how sure it is.
    "spread range width cv mad se moe uncertainty unc entropy noise varianz streuung stabw standardabweichung "
    "abweichung unsicherheit pvalue pval z "
    # What is lost of it, or how far it is below something.
    "deficit shortfall lost lack lacking decline degradation degrade degraded deterioration decay excess regret "
    "cost fault low lower below under worse worst bad poor fail fails failing zero zeros zeroes unmet vs versus "
    "minderung rückgang verschlechterung differenz unterschied rang différence rang diferencia differenza "
    # What it takes to reach it.
    "time epochs steps iterations until"
)
TURNING = frozenset(_TURNING.split())
# What is usual around a measure and says nothing of its direction: how it was taken, over what, and in which unit.
_AROUND_MEASURES = (
    "mean average avg median macro micro weighted pooled overall total sum num number count n of the in per "
    "at and test val valid validation eval dev holdout score value metric rate percent pct percentage "
    "coefficient coef index measure symmetric average max maximum percentile th p m img image case class "
    "pixel voxel surface boundary mm cm um μm nm m px vx vox voxels pixels s ms sec seconds min db hz top k"
)
AROUND_MEASURES = frozenset(_AROUND_MEASURES.split())
TURNED = re.compile(r"^[\s([]*(1|one|100)\s*[-\N{EN DASH}\N{MINUS SIGN}]\s*\w|^[\s([]*[-\N{MINUS SIGN}]\s*\w|^1_?minus")  # fmt: skip
PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[^\W\d_A-Z]+|\d+")


def plain(name: str) -> str:
    """A name as it is compared: ``Image ID`` -> ``imageid``."""
    return re.sub(r"[\W_]+", "", name.casefold())


KIND_OF = {plain(name): kind for kind, names in SPELLINGS.items() for name in names}


def kind_of(name: str) -> str | None:
    """The kind of score that a name belongs to: ``dice_img_macro`` is of ``dice``; None where it is unknown."""
    bare = plain(name)
    while bare and bare not in KIND_OF:
        bare, before = AROUND.sub("", bare, count=1), bare
        if bare == before:
            return None
    return KIND_OF.get(bare)


@dataclass(frozen=True)
class NamedScore:
    """What the words of a name tell.

    Attributes:
        higher_is_better: None where no word tells, or two contradict each other.
        share: it lies between 0 and 1, or in per cent.
        measure: the words that tell, as they are compared; empty where none does.
        rest: other words that are not usual around a measure, such as an organ or a model.
    """

    higher_is_better: bool | None
    share: bool
    measure: str
    rest: tuple[str, ...]


_KNOWN = {
    phrase.strip(): row for row, phrases in MEASURES.items() for phrase in phrases.replace("\n", " ").split(",")
}  # fmt: skip
_LONGEST = max(phrase.count(" ") + 1 for phrase in _KNOWN)


@cache
def named_score(name: str) -> NamedScore:
    """The measure that a name tells of, word by word: ``ASSD (mm)`` is a distance, ``test loss`` a loss.

    In ``dice_loss`` the last word is what the name means; ``1 - dice`` and ``dice_std`` tell no direction.
    """
    words = words_of(name)
    phrases, rest, at = [], [], 0
    while at < len(words):
        size = next(
            (n for n in range(_LONGEST, 0, -1) if " ".join(words[at : at + n]) in _KNOWN and at + n <= len(words)),
            0,
        )  # fmt: skip
        if size:
            phrases.append(" ".join(words[at : at + size]))
        elif words[at] not in AROUND_MEASURES and not words[at].isdigit():
            rest.append(words[at])
        at += max(size, 1)
    ways = {_KNOWN[phrase][0] for phrase in phrases}
    if len(ways) == 2 and phrases[-1] in LAST_WORDS:
        phrases, ways = phrases[-1:], {False}
    turned = TURNED.match(name.casefold()) or any(word in TURNING for word in rest)
    higher = ways.pop() if len(ways) == 1 and not turned else None
    share = bool(phrases) and all(_KNOWN[phrase][1] for phrase in phrases)
    return NamedScore(higher, share, " ".join(phrases), tuple(rest))


def words_of(name: str) -> list[str]:
    """A name in words: ``HausdorffDistance95_mm`` -> hausdorff, distance, 95, mm; a known word stays whole: ``mIoU``, ``F1``."""
    words: list[str] = []
    for token in re.findall(r"[^\W_]+", normalize("NFKC", name).replace("^", "")):
        whole = _singular(token.casefold())
        stem = whole.rstrip("0123456789")
        if whole in _KNOWN or stem in _KNOWN:
            words.append(whole if whole in _KNOWN else stem)
        else:
            words += [_singular(part.casefold()) for part in PARTS.findall(token)]
    return words


def _singular(word: str) -> str:
    """The word without the s of many, where that is known."""
    singles = (word, word.removesuffix("s"), word.removesuffix("es"))
    return next((single for single in singles if single in _KNOWN or single in _IN_PHRASES), word)


_IN_PHRASES = frozenset(word for phrase in _KNOWN for word in phrase.split())
