"""The answers of a network as a CSV file with a line per image."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Final

from keras_archs.training.evaluation.answers import Answers

COLUMNS: Final = (
    "path",
    "index",
    "label",
    "predicted_index",
    "predicted",
    "probability",
    "probability_of_label",
    "top1",
    "top5",
    "error",
)


def write_answers(answers: Answers, path: Path) -> None:
    """Write a line per image, in the order of the images; an image that could not be read has an error instead.

    Args:
        answers: The answers.
        path: The file, which is replaced if it exists.
    """
    images, labels = answers.images, answers.labels
    # names of files need not be UTF-8: their bytes are written as they are
    with path.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(COLUMNS)
        for position, (image, right) in enumerate(zip(images.paths, images.classes.tolist(), strict=True)):
            if error := answers.unreadable.get(position):
                table.writerow([image, right, labels[right].name, "", "", "", "", "", "", error])
                continue
            predicted, rank = int(answers.predicted[position]), int(answers.rank[position])
            table.writerow(
                [
                    image,
                    right,
                    labels[right].name,
                    predicted,
                    labels[predicted].name,
                    f"{answers.probability[position]:.6g}",
                    f"{answers.probability_of_right[position]:.6g}",
                    int(rank < 1),
                    int(rank < 5),
                    "",
                ]
            )
