"""Which way is better, told by the words of a name, their units and their order; and never by default."""

import pytest

from foldwise.metrics.names import MEASURES, SPELLINGS, kind_of, named_score
from foldwise.metrics.table import METRICS

LOWER = """hd95; HD95_mm; hausdorff95; HausdorffDistance95_mm; Hausdorff Distance 95; 95% Hausdorff; assd_um; ASSD (mm);
MASD [px]; Average Symmetric Surface Distance; surface_distance; dist_um; rmse; rmse_mm; MAE_px; mean_absolute_error; abs_err;
MAPE (%); error_rate; errors; relative error; balanced error rate; overlap error; fpr; FNR; false_positive_rate; FalseNegatives;
false_alarm_rate; num_false_positives; misses; missed_objects; % wrong; misclassification; val_loss; valLoss; test loss;
val/loss; dice_loss; IOU_LOSS; crossEntropyLoss; cross-entropy; log_loss; nll; negative log-likelihood; brier_score; ECE (%);
perplexity; MedAE; EPE; TRE (mm); FPPI; RMS; kl_divergence; variation_of_information; lpips; abs_volume_difference; latency_ms; hd95 tumour core; wer;
Fehlerrate; Verlust (val); Abstand_mm; erreur; perte; \N{CYRILLIC SMALL LETTER O}\N{CYRILLIC SMALL LETTER SHA}\N{CYRILLIC SMALL LETTER I}\N{CYRILLIC SMALL LETTER BE}\N{CYRILLIC SMALL LETTER KA}\N{CYRILLIC SMALL LETTER A}; 误差"""
HIGHER = """dice; Dice (%); DSC; dice_coef; DICE_MEAN; Dice Similarity Coefficient; Dice_liver; clDice; iou; mIoU; bIoU; Sens; Spec; log_lik; IoU@0.5; jaccard;
auroc; ROC AUC; pr_auc; f1; F1-score; F1_macro; accuracy; TestAcc; top1_acc; Acc@1; balanced_accuracy; kappa; qwk; mcc; psnr_db; SSIM;
ms_ssim; r2; R²; R^2; pearson_r; correlation; precision; recall; sensitivity; specificity; true_positive_rate; tnr; nsd; NSD@1mm;
surface_dice_2mm; norm. surface distance; mAP; AP50; metrics/mAP50-95; PQ; hits; num_correct; loglik; detection_rate"""
NEITHER = """score; value; thing; age; tumour_volume_mm3; time_s; CE; L1; 1-dice; 1 - IoU; one minus dice; neg_mae; -loss; dice_std;
accuracy_gap; dice drop; delta dice; hd95_dice; non-overlap; inverse error; loss_weight; iou_threshold; error reduction;
Dice-Fehler; Dice_Verlust; IoU Abstand; erreur_dice; dice 損失; Dice-Abweichung; Dice Differenz; dice_uncertainty; dice_cv; auc_pvalue;
dice_deficit; auc_decline; accuracy_cost; dice_below_0.5; worst_dice; time_to_dice; (1-dice); [1 - IoU]; p; p_value; rate"""


def names(text):
    return [name.strip() for name in text.replace("\n", " ").split(";")]


@pytest.mark.parametrize(("text", "higher"), [(LOWER, False), (HIGHER, True), (NEITHER, None)])
def test_which_way_is_better_is_told_by_words_or_not_at_all(text, higher):
    told = {name: named_score(name).higher_is_better for name in names(text)}
    assert told == dict.fromkeys(told, higher)


@pytest.mark.parametrize("around", ["{}_mm", "{} (px)", "mean_{}", "test {}", "{}@0.5", "val/{}_epoch"])
def test_what_stands_around_a_measure_turns_nothing(around):
    for (higher, _), phrases in MEASURES.items():
        for phrase in phrases.split(", "):
            for written in (phrase, phrase.upper(), phrase.replace(" ", "_"), phrase.title()):
                assert named_score(around.format(written)).higher_is_better is higher, written


def test_our_own_metrics_are_told_by_their_names_as_the_table_has_them():
    told = {name: named_score(name).higher_is_better for name in METRICS}
    assert told == {name: metric.higher_is_better for name, metric in METRICS.items()}


def test_every_spelling_of_a_kind_has_one_direction():
    for kind, spellings in SPELLINGS.items():
        ways = {named_score(name).higher_is_better for name in spellings}
        assert len(ways) == 1, kind
        assert None not in ways
        assert all(kind_of(name) == kind for name in spellings)
