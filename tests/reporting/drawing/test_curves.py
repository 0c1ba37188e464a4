"""ROC and precision-recall curves."""

from xml.etree import ElementTree

from foldwise.judging.curves import Line, RankingCurve
from foldwise.reporting.drawing.curves import curve_panel


def parts(drawn, class_):
    return [one for one in ElementTree.fromstring(str(drawn)).iter() if one.get("class") == class_]


def test_curves_show_folds_mean_and_chance():
    diagonal = Line([0.0, 0.5, 1.0], [0.0, 0.8, 1.0])
    curve = RankingCurve((diagonal, diagonal), diagonal, 0.7)
    drawn = curve_panel("ROC", [("a", curve), ("b", curve)], kind="roc")
    assert len(parts(drawn, "curve fold")) == 2
    assert (
        len(parts(drawn, "curve winner"))
        == len(parts(drawn, "curve other"))
        == len(parts(drawn, "chance"))
        == 1
    )
    assert curve_panel("PR", [("a", RankingCurve((), None, None))], kind="pr", chance=None)
