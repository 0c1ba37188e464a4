"""A drawing as a file of its own: valid XML, with the colours that it has in the report."""

from xml.etree import ElementTree

from foldwise.reporting.drawing.series import learning_panel, learning_scale
from foldwise.reporting.figure_files import standalone

SVG = "{http://www.w3.org/2000/svg}"
FITS = [
    {
        "best_epoch": 3,
        "epochs": [
            {"epoch": epoch, "train_loss": 1 / epoch, "val_loss": 1.2 / epoch, "val_score": epoch / 5}
            for epoch in range(1, 5)
        ],
    }
]


def drawn(title):
    drawing = learning_panel(title, FITS, scores=learning_scale(FITS), select="accuracy")
    return standalone(drawing, title=title, notes=("first note", "second <note>"))


def test_it_is_xml_with_its_names_escaped():
    root = ElementTree.fromstring(drawn("conv <b> & co"))
    assert root.tag == f"{SVG}svg"
    words = [text.text for text in root.iter(f"{SVG}text")]
    assert words[0] == "conv <b> & co"
    assert words[-2:] == ["first note", "second <note>"]
    assert len(list(root.iter(f"{SVG}polyline"))) == 3  # two losses and a score


def test_everything_drawn_has_a_colour_and_no_variable_is_left():
    root = ElementTree.fromstring(drawn("conv"))
    style = root.find(f"{SVG}style").text
    assert "var(" not in style
    assert "@" not in style
    for rule in (
        ".learn.train {",
        ".learn.validation {",
        ".chosen {",
        ".grid {",
        ".axis {",
        ".tick {",
        "polyline {",
    ):
        assert rule in style, rule
    assert "stroke: #" in style[style.index(".learn.train") :]


def test_nothing_lies_outside_the_picture():
    root = ElementTree.fromstring(drawn("conv"))
    width, height = float(root.get("width")), float(root.get("height"))
    inner = root.find(f"{SVG}svg")
    assert float(inner.get("x")) + float(inner.get("width")) <= width
    for note in root.findall(f"{SVG}text"):
        assert 0 < float(note.get("y")) < height
