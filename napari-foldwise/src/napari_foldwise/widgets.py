"""The panels in napari: thin, as all that they do is in `predicting` and `reviewing`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_foldwise.predicting import predicted
from napari_foldwise.reviewing import ACCEPT, FLAG, Review

if TYPE_CHECKING:
    import napari


class _Panel(QWidget):
    """A folder of a run, and a text below everything else."""

    def __init__(self, viewer: napari.Viewer, title: str) -> None:
        super().__init__()
        self.viewer, self.folder, self.text = viewer, QLineEdit(), QLabel("")
        self.folder.setPlaceholderText(title)
        self.text.setWordWrap(True)
        self.setLayout(QVBoxLayout())
        choose = QPushButton("Choose ...")
        choose.clicked.connect(self._choose)
        self._row(self.folder, choose)

    def _row(self, *widgets: QWidget) -> None:
        row = QHBoxLayout()
        for widget in widgets:
            row.addWidget(widget)
        self.layout().addLayout(row)

    def _choose(self) -> None:
        if folder := QFileDialog.getExistingDirectory(self, "The folder of a run, or of a model"):
            self.folder.setText(folder)

    def _try(self, do: Any) -> Any:
        """What it gives; an error as text, since it says what to do."""
        from foldwise import FoldwiseError

        try:
            return do()
        except (FoldwiseError, ValueError, OSError) as error:
            self.text.setText(str(error))
            return None


class PredictWidget(_Panel):
    """Predicts the chosen layer of images with a model of foldwise."""

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__(viewer, "runs/cells, or a model that was handed over")
        self.probabilities, self.flips = QCheckBox("Layers of probabilities"), QCheckBox("Mirror images, too")
        self.probabilities.setChecked(True)
        self._row(self.probabilities, self.flips)
        button = QPushButton("Predict the chosen layer")
        button.clicked.connect(self.predict)
        self._row(button)
        self.layout().addWidget(self.text)
        self.layout().addStretch()

    def predict(self) -> None:
        """Ask the model, and add its layers."""
        from napari.layers import Image

        layer = self.viewer.layers.selection.active
        if not isinstance(layer, Image):  # true of the proxy, too, that napari hands to plugins
            self.text.setText("Choose a layer of images in the list of layers.")
            return
        answer = self._try(lambda: self._answer(layer))
        if answer is None:
            return
        for made in answer.layers:
            add = self.viewer.add_labels if made.kind == "labels" else self.viewer.add_image
            add(made.data, **made.settings)
        self.viewer.layers.selection.active = layer
        self.text.setText("\n".join(answer.sentences))

    def _answer(self, layer: Any) -> Any:
        import foldwise

        model = foldwise.load(self.folder.text(), flips=self.flips.isChecked())
        how = {"rgb": layer.rgb, "scale": layer.scale, "probabilities": self.probabilities.isChecked()}
        return predicted(model, layer.data, name=layer.name, **how)


class ReviewWidget(_Panel):
    """Steps through the worst or the most disputed images of a run, whose labels are accepted or flagged."""

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__(viewer, "runs/cells")
        self.review: Review | None = None
        self.number = 0
        self.order = QComboBox()
        self.order.addItems(["The worst first", "The most disputed first"])
        begin = QPushButton("Begin")
        begin.clicked.connect(self.begin)
        self._row(self.order, begin)
        self.note = QLineEdit()
        self.note.setPlaceholderText("A note, such as: the mask is of the next slice")
        self._row(self.note)
        steps = {"Back": lambda: self.show_image(self.number - 1), "Accept": lambda: self.decide(ACCEPT)}
        steps |= {"Flag": lambda: self.decide(FLAG), "Skip": lambda: self.show_image(self.number + 1)}
        self.buttons = {name: QPushButton(name) for name in steps}
        for name, button in self.buttons.items():
            button.clicked.connect(lambda _=False, step=steps[name]: step())
        self._row(*self.buttons.values())
        self.layout().addWidget(self.text)
        self.layout().addStretch()

    def begin(self) -> None:
        """Read the run, and show the first image that is undecided."""
        disputed = self.order.currentIndex() == 1
        self.review = self._try(lambda: Review(Path(self.folder.text()), disputed=disputed))
        if self.review is not None and self.review.images:
            self.show_image(self.review.next_undecided() or 0)

    def decide(self, decision: str) -> None:
        """Write a decision, and go on."""
        if self.review is None:
            return
        image = self.review.images[self.number].image
        self._try(lambda: self.review.decide(image, decision, self.note.text()))
        following = self.review.next_undecided(self.number)
        if following is None:
            self.text.setText(f"All are decided: {self.review.summary}")
        else:
            self.show_image(following)

    def show_image(self, number: int) -> None:
        """Show an image and its label in layers of their own, which replace those of the one before."""
        if self.review is None or not 0 <= number < len(self.review.images):
            return
        self.number, candidate = number, self.review.images[number]
        picture = self._try(lambda: self.review.picture(candidate.image))
        if picture is None:
            return
        for name in ("foldwise: image", "foldwise: label"):
            if name in self.viewer.layers:
                self.viewer.layers.remove(name)
        self.viewer.add_image(picture.pixels, rgb=picture.rgb, name="foldwise: image")
        if picture.mask is not None:
            self.viewer.add_labels(picture.mask, name="foldwise: label", opacity=0.4)
        decision, note = self.review.decisions.get(candidate.image, ("", ""))
        self.note.setText(note)
        place = f"{number + 1} of {len(self.review.images)}" + (
            f", {decision}ed" if decision == ACCEPT else ""
        )
        place += ", flagged" if decision == FLAG else ""
        label = f"\nLabel: {picture.label}" if picture.label else ""
        self.text.setText(f"{place}\n{candidate}{label}\n{self.review.summary}")
