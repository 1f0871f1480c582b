"""A quantized version before it is published: made, measured, and refused if it loses too much."""

from __future__ import annotations

import datetime
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path

import numpy as np

from keras_archs.quantization.int8 import Control, Int8Graph, int8_graph
from keras_archs.quantization.measure import accuracy, agreement, answers
from keras_archs.quantization.pictures import LabelledPictures, Pictures, load_all
from keras_archs.repository import artifact, reference_answers
from keras_archs.repository.artifact import ArtifactError
from keras_archs.repository.artifact_card import ArtifactCard
from keras_archs.repository.checksums import checksums
from keras_archs.repository.publishing import publish_version
from keras_archs.repository.quantization import Calibration, Quantization
from keras_archs.repository.reference_answers import ReferenceAnswers, reference_images
from keras_archs.runtimes.loading import load_version
from keras_archs.runtimes.machine import usable_cores
from keras_archs.runtimes.openvino_runtime import OpenVinoRuntime
from keras_archs.runtimes.runtime import Infer
from keras_archs.runtimes.silent_openvino import ov

_OF_ANOTHER_QUANTIZATION = (artifact.INT8_GRAPH, artifact.INT8_WEIGHTS, artifact.INT8_ANSWERS)


class LossError(ValueError):
    """An int8 graph loses, or may lose, more accuracy than is allowed."""


@dataclass(frozen=True)
class Candidate:
    """A version with an int8 graph, written to a folder but not published.

    Attributes:
        source: Folder of the version that was quantized.
        folder: Folder with the int8 graph under the name that it has in a version.
        card: Card of the version to publish, without checksums.
        quantization: What was measured.
        answers: What the int8 graph answers to the reference images.
    """

    source: Path
    folder: Path
    card: ArtifactCard
    quantization: Quantization
    answers: ReferenceAnswers

    def check(self, max_drop: float) -> None:
        """Refuse a loss of more than `max_drop` percentage points.

        Without labelled pictures, the loss is bounded by the share of pictures that the two graphs answer differently.

        Raises:
            LossError: More is lost, or may be; the message says how much.
        """
        measured, change = self.quantization.agreement, self.quantization.accuracy
        if change and change.drop > max_drop:
            raise LossError(
                f"int8 answers {100 * change.int8:.2f} % of {change.pictures:,} labelled pictures rightly, float32 "
                f"{100 * change.float32:.2f} %: a drop of {change.drop:.2f} points, where {max_drop:g} are allowed"
            )
        disagreement = round(100 * (1 - measured.top1), 6)
        if change is None and disagreement > max_drop:
            raise LossError(
                f"int8 answers {disagreement:.2f} % of {measured.pictures:,} pictures with another class than float32, "
                f"so that the drop of accuracy may be as large, where {max_drop:g} points are allowed"
            )

    def publish(self) -> int:
        """Publish the version beside the version that was quantized, and return its number.

        The version is loaded first, as a server loads it.

        Raises:
            ArtifactError: The version cannot be loaded.
            OSError: The files cannot be written.
        """
        return publish_version(self.source.parent, None, self._write)

    def _write(self, path: Path) -> None:
        left_out = shutil.ignore_patterns(artifact.CARD.name, *(file.name for file in _OF_ANOTHER_QUANTIZATION))
        shutil.copytree(self.source, path, dirs_exist_ok=True, ignore=left_out)
        for file in (artifact.INT8_GRAPH, artifact.INT8_WEIGHTS):
            shutil.copyfile(self.folder / file, path / file)
        reference_answers.write(path, self.answers, artifact.INT8_ANSWERS)
        card = replace(self.card, checksums=checksums(path))
        artifact.write_card(path, card)
        if load_version(OpenVinoRuntime(), path, card).arithmetic != "int8":
            raise ArtifactError(f"the int8 graph of {card.name!r} answers otherwise than it did when it was measured")


@contextmanager
def make_candidate(
    version_dir: Path, card: ArtifactCard, pictures: Pictures, labelled: LabelledPictures | None, max_drop: float
) -> Iterator[Candidate]:
    """Quantize a version and measure what changes.

    The int8 graph is made without labels first. If it loses more than `max_drop` on the labelled pictures, it is made
    again with accuracy control on a part of them, and the accuracy of the card is that on the others. The agreement is
    that on the pictures that do not calibrate.

    Args:
        version_dir: Folder of the version; its float32 graph is quantized.
        card: Card of the version.
        pictures: Pictures to calibrate with, and to compare answers on.
        labelled: Labelled pictures; None for no accuracy.
        max_drop: Accuracy that may be lost, in percentage points.

    Yields:
        The candidate, whose files exist inside the `with` block.

    Raises:
        ValueError: The network has no layers to quantize, or its classes do not exclude each other and labelled
            pictures are given.
    """
    if labelled and card.multi_label:
        raise ValueError(
            f"several classes of {card.name} may apply to a picture (sigmoid), so that it has no one right class: "
            "quantize without labelled pictures"
        )
    runtime = OpenVinoRuntime(streams=usable_cores())
    shape = (1, *card.preprocessing.size, card.preprocessing.channels)
    float32 = runtime.compile(version_dir, shape)
    with tempfile.TemporaryDirectory(prefix="keras-archs-quantize-") as temporary:
        folder = Path(temporary)
        (folder / artifact.INT8_GRAPH).parent.mkdir()

        def compiled(found: Int8Graph) -> Infer:
            ov.save_model(found.graph, folder / artifact.INT8_GRAPH, compress_to_fp16=False)
            return runtime.compile(folder / artifact.INT8_GRAPH, shape)

        found = int8_graph(version_dir, pictures.calibration)
        int8 = compiled(found)
        measured = accuracy(float32, int8, labelled.images, card.preprocessing) if labelled else None
        if labelled and measured and measured.drop > max_drop:
            control = Control(load_all(labelled.control, card.preprocessing), labelled.control.classes, max_drop / 100)
            found = int8_graph(version_dir, pictures.calibration, control)
            int8 = compiled(found)
            measured = accuracy(float32, int8, labelled.report, card.preprocessing)
        quantization = Quantization(
            source_version=int(version_dir.name),
            layers=found.layers,
            int8_layers=found.int8_layers,
            calibration=Calibration(len(pictures.calibration), pictures.fingerprint),
            agreement=agreement(
                answers(float32, pictures.agreement), answers(int8, pictures.agreement), multi_label=card.multi_label
            ),
            accuracy=measured,
        )
        drawn = reference_images(card.preprocessing)
        yield Candidate(
            source=version_dir,
            folder=folder,
            card=_card(card, quantization),
            quantization=quantization,
            answers=ReferenceAnswers(drawn, np.concatenate([int8(image[np.newaxis]) for image in drawn])),
        )


def _card(card: ArtifactCard, quantization: Quantization) -> ArtifactCard:
    tools = {package: metadata.version(package) for package in ("openvino", "nncf")}
    return replace(
        card,
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        producer={**card.producer, **tools},
        quantization=quantization,
    )
