"""Images to rows, with an error where an image is damaged."""

from __future__ import annotations

import io
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from keras_archs.batch.items import Item
from keras_archs.batch.predictor import Predictor
from keras_archs.batch.sources import open_source
from keras_archs.batch.work import Work
from keras_archs.images.decoding import load_image
from keras_archs.runtimes.local import installed_runtime, load_version
from tests.batch.conftest import IN_ORDER


def test_an_image_has_an_answer_and_a_damaged_image_has_an_error(predictor: Predictor, photos: Path) -> None:
    (shard,) = open_source([str(photos)]).shards()
    rows = [predictor.row(item) for item in shard.items()]
    assert [row.path for row in rows] == [str(photos / name) for name in IN_ORDER]
    damaged = rows.pop(4)
    assert damaged.answer is None
    assert damaged.error == "The image is damaged or incomplete."
    for row in rows:
        assert (row.error, row.answer and row.answer.classes.tolist()) == (None, [1, 0])


def test_an_answer_is_that_of_the_network_for_the_preprocessed_image(
    lite0_repository: Path, photographs: dict[str, bytes]
) -> None:
    work = Work(lite0_repository / "efficientnet-lite0" / "1", top_k=3, precision="f32")
    predictor = Predictor(work, threads=1)
    pixels = load_image(photographs["coffee"], predictor.card.preprocessing)
    session = load_version(installed_runtime(), work.version_dir, predictor.card)
    expected = session.infer(pixels[np.newaxis])[0]
    row = predictor.row(Item("coffee", partial(bytes, photographs["coffee"])))
    assert row.answer is not None
    assert row.answer.classes[0] == 967  # espresso
    np.testing.assert_allclose(row.answer.scores, np.sort(expected)[::-1][:3], rtol=1e-3)


def test_width_and_height_are_those_of_the_upright_image(predictor: Predictor) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    content = io.BytesIO()
    Image.new("RGB", (60, 40)).save(content, "JPEG", exif=exif)
    row = predictor.row(Item("x", content.getvalue))
    assert (row.width, row.height) == (40, 60)


def test_a_file_that_cannot_be_read_is_a_row_that_says_so(predictor: Predictor, tmp_path: Path) -> None:
    row = predictor.row(Item("gone", (tmp_path / "gone.jpg").read_bytes))
    assert (row.error, row.unread) == ("No such file or directory.", True)
