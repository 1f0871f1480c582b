"""Evaluations count exactly: right, wrong, unreadable; and they end, whatever happens."""

from __future__ import annotations

import csv
import io
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from keras_archs.training.data.labelled_images import LabelledImages
from keras_archs.training.evaluation.answer_table import write_answers
from keras_archs.training.evaluation.answers import Answers
from keras_archs.training.evaluation.evaluating import evaluate
from tests.support.shades import CARD, NAMES, TABLE, Shades, paint

SHADES = [0, 0, 0, None, 1, 1, 2, 3, 3]
RIGHT = [0, 1, 6, 0, 1, 0, 1, 0, 6]
PREDICTED = [0, 0, 0, -1, 1, 1, 2, 0, 0]
RANKS = [0, 1, 6, -1, 0, 1, 2, 0, 6]


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("max_batch", [1, 4, 100])
def test_every_image_counts_once_however_the_work_is_divided(tmp_path: Path, threads: int, max_batch: int) -> None:
    answers = evaluate(Shades(TABLE, max_batch), CARD, paint(tmp_path, SHADES, RIGHT), threads=threads)
    assert answers.predicted.tolist() == PREDICTED
    assert answers.rank.tolist() == RANKS
    assert answers.probability.tolist() == [TABLE[s].max() if s is not None else 0 for s in SHADES]
    assert answers.unreadable == {3: "The image is damaged or incomplete."}
    assert (answers.top1.count, answers.top5.count, answers.top1.total) == (3, 6, 8)


@pytest.fixture
def answers(tmp_path: Path) -> Answers:
    return evaluate(Shades(TABLE), CARD, paint(tmp_path, SHADES, RIGHT))


def test_classes_have_their_counts_and_most_frequent_mistake(answers: Answers) -> None:
    assert [
        (result.index, result.top1.count, result.top5.count, result.top1.total, result.mistaken_for, result.mistakes)
        for result in answers.classes
    ] == [(0, 2, 3, 3, 1, 1), (1, 1, 3, 3, 0, 1), (6, 0, 0, 2, 0, 2)]


def test_confusions_are_ordered_by_their_number(answers: Answers) -> None:
    assert answers.confusions == ((6, 0, 2), (0, 1, 1), (1, 0, 1), (1, 2, 1))


def test_the_worst_mistakes_are_those_of_highest_probability(answers: Answers) -> None:
    order = answers.worst(10)
    assert sorted(order) == [1, 2, 5, 6, 8]
    assert list(answers.probability[order]) == sorted(answers.probability[order], reverse=True)
    assert answers.worst(2) == order[:2]


def test_equal_probabilities_are_ordered_by_class_so_that_no_class_gains(tmp_path: Path) -> None:
    images = paint(tmp_path, [3] * 7, range(7))
    answers = evaluate(Shades(TABLE), CARD, images)
    assert answers.rank.tolist() == list(range(7))
    assert (answers.top1.count, answers.top5.count) == (1, 5)


def test_a_probability_that_is_not_a_number_is_never_right(tmp_path: Path) -> None:
    table = np.full((1, 7), np.nan, np.float32)
    assert evaluate(Shades(table), CARD, paint(tmp_path, [0] * 7, range(7))).top5.count == 0


def test_top5_says_nothing_for_five_classes_or_fewer(answers: Answers, tmp_path: Path) -> None:
    assert answers.has_top5
    card = replace(CARD, labels=CARD.labels[:5])
    assert not evaluate(Shades(TABLE[:, :5]), card, paint(tmp_path, [0], [0])).has_top5


def test_the_table_has_a_line_per_image(answers: Answers, tmp_path: Path) -> None:
    write_answers(answers, tmp_path / "answers.csv")
    lines = (tmp_path / "answers.csv").read_text().splitlines()
    assert lines[0] == "path,index,label,predicted_index,predicted,probability,probability_of_label,top1,top5,error"
    assert lines[1].startswith("0.png,0,cat,0,cat,0.")
    assert lines[1].endswith(",1,1,")
    assert lines[3].endswith(",0,0,")
    assert lines[4] == "3.png,0,cat,,,,,,,The image is damaged or incomplete."
    rows = list(csv.DictReader(io.StringIO("\n".join(lines))))
    assert len(rows) == len(SHADES)
    assert sum(row["top1"] == "1" for row in rows) == 3
    assert [row["predicted"] for row in rows if row["error"] == ""] == [NAMES[p] for p in PREDICTED if p >= 0]


def test_names_of_files_keep_their_bytes(tmp_path: Path) -> None:
    name = b"caf\xe9,\n.png".decode("utf-8", "surrogateescape")
    Image.new("RGB", (8, 8)).save(tmp_path / name)
    answers = evaluate(Shades(TABLE), CARD, LabelledImages(tmp_path, [name], np.zeros(1, np.int32)))
    write_answers(answers, tmp_path / "answers.csv")
    assert b'"caf\xe9,\n.png",0,cat' in (tmp_path / "answers.csv").read_bytes()


def test_images_that_are_missing_are_listed_with_the_reason(tmp_path: Path) -> None:
    images = paint(tmp_path, [0, 0], [0, 0])
    (tmp_path / "1.png").unlink()
    assert evaluate(Shades(TABLE), CARD, images).unreadable == {1: "No such file or directory."}
    (tmp_path / "0.png").unlink()
    with pytest.raises(ValueError, match=r"none of 2 images could be read; the first: 0\.png: No such file"):
        evaluate(Shades(TABLE), CARD, images)


def test_a_network_whose_classes_do_not_exclude_each_other_is_refused(tmp_path: Path) -> None:
    card = replace(CARD, multi_label=True)
    with pytest.raises(ValueError, match="several classes of shades may apply to an image"):
        evaluate(Shades(TABLE), card, paint(tmp_path, [0], [0]))


def test_an_error_of_the_runtime_ends_the_evaluation(tmp_path: Path) -> None:
    with pytest.raises(IndexError):
        evaluate(Shades(TABLE[:1]), CARD, paint(tmp_path, [1] * 20, [0] * 20))


def test_ctrl_c_ends_the_threads_after_their_batches(tmp_path: Path) -> None:
    counts: list[int] = []

    def interrupt(done: int) -> None:
        counts.append(done)
        may_infer.set()
        raise KeyboardInterrupt

    may_infer = threading.Event()

    class Slow(Shades):
        def infer(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
            assert may_infer.wait(10)
            return super().infer(images)

    session = Slow(TABLE)
    with pytest.raises(KeyboardInterrupt):
        evaluate(session, CARD, paint(tmp_path, [0] * 50, [0] * 50), threads=2, on_progress=interrupt)
    assert counts == [0]
    assert not session.threads & {thread.name for thread in threading.enumerate()}


def test_progress_reaches_the_number_of_images(tmp_path: Path) -> None:
    counts: list[int] = []
    evaluate(Shades(TABLE), CARD, paint(tmp_path, [0] * 30, [0] * 30), on_progress=counts.append)
    assert counts == sorted(counts)
    assert counts[-1] == 30
