"""Classes as lines of dots, and counts as bars."""

from xml.etree import ElementTree

from foldwise.reporting.drawing.classes import Dot, bars, class_strip


def parts(drawn, class_):
    return [one for one in ElementTree.fromstring(str(drawn)).iter() if one.get("class") == class_]


def test_classes_and_counts_are_drawn_with_their_numbers():
    drawn = class_strip(
        [("<b>", 0.91, [Dot(0.5, "u", "c-1"), Dot(0.7, "v")]), ("rare", None, [])], title="Dice"
    )
    assert len(parts(drawn, "dot")) == 2
    assert "0.91" in drawn
    assert "<b>" not in drawn
    assert "37" in bars([("a", 37), ("b", 0)], title="Images per class")
