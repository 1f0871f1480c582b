"""Twenty thousand images, a hundred of them corrupt, killed three times: `keras-archs predict` on what can go wrong.

    python -m benchmarks.batch_trial --images 20000

Crops of scikit-image's photographs are encoded as JPEG, PNG and WebP. The command runs once undisturbed and once with
SIGKILL at a quarter, a half and three quarters of the images. Both tables must be the same bytes, with a row per image,
in order, and an error for each corrupt image and no other. The memory of the undisturbed process is read every second.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import psutil
import pyarrow.parquet
import typer
from PIL import Image
from skimage import data

from benchmarks.common import machine, write_json

COMMAND = Path(sys.executable).with_name("keras-archs")
PHOTOGRAPHS = ("chelsea", "coffee", "astronaut", "rocket", "camera")
CORRUPT: tuple[Callable[[bytes], bytes], ...] = (
    lambda content: content[: len(content) // 2],
    lambda content: b"",
    lambda content: b"no image\n" * 100,
    lambda content: b"II*\0" + content,  # TIFF
    lambda content: content[:2] + bytes(len(content) - 2),
)


@dataclass(frozen=True)
class Trial:
    """What was seen.

    Attributes:
        rss_mb: Resident memory of the process, a value per second from the first row on.
    """

    images: int
    corrupt: int
    rows: int
    errors: int
    is_in_order: bool
    errors_are_the_corrupt: bool
    kills_at: list[int]
    is_identical_after_kills: bool
    seconds: float
    images_per_second: float
    rss_mb: list[int]


def main(
    images: Annotated[int, typer.Option(min=1000, help="Number of images.")] = 20_000,
    corrupt: Annotated[int, typer.Option(min=1, help="Number of corrupt images among them.")] = 100,
    model: Annotated[str, typer.Option(help="A model of the registry, or of --repository.")] = "efficientnet-lite0",
    repository: Annotated[Path | None, typer.Option(help="Repository in which the model is published already.")] = None,
    folder: Annotated[Path | None, typer.Option(help="Folder for the images, which are kept and used again.")] = None,
    json: Annotated[Path | None, typer.Option(help="Also write what was seen to this file, as JSON.")] = None,
) -> None:
    """Make images, predict them undisturbed and killed three times, and compare."""
    about = machine()
    with tempfile.TemporaryDirectory() as temporary:
        photos = (folder or Path(temporary)) / f"photos-{images}-{corrupt}"
        if not photos.exists():
            make(photos, images, corrupt)
        start = [str(COMMAND), "predict", str(photos), "--model", model, "--shard-images", str(images // 20), "--json"]
        start += ["--repository", str(repository)] if repository else []
        outputs = Path(temporary)
        whole, seconds, rss = undisturbed([*start, "--out", str(outputs / "whole.parquet")], outputs / "whole.parquet")
        kills_at = killed([*start, "--out", str(outputs / "killed.parquet")], outputs / "killed.parquet", images)
        table = pyarrow.parquet.read_table(outputs / "whole.parquet", columns=["path", "error"])
        paths, errors = table.column("path").to_pylist(), table.column("error").to_pylist()
        trial = Trial(
            images=images,
            corrupt=corrupt,
            rows=len(paths),
            errors=sum(error is not None for error in errors),
            is_in_order=paths == sorted(str(path) for path in photos.rglob("*.*")),
            errors_are_the_corrupt=all(
                (error is not None) == ("corrupt" in path) for path, error in zip(paths, errors, strict=True)
            ),
            kills_at=kills_at,
            is_identical_after_kills=whole == (outputs / "killed.parquet").read_bytes(),
            seconds=seconds,
            images_per_second=round(images / seconds, 1),
            rss_mb=rss,
        )
    print(f"{about['cpu']}, {about['cores']} cores, load before: {about['load_before']}")
    for name, value in asdict(trial).items():
        print(f"{name}: {value}")
    write_json(json, about | asdict(trial))
    is_right = trial.is_in_order and trial.errors_are_the_corrupt and trial.is_identical_after_kills
    if not is_right or (trial.rows, trial.errors) != (images, corrupt):
        raise SystemExit("the trial failed")


def make(photos: Path, images: int, corrupt: int) -> None:
    """Write images into folders of 1,000; the corrupt ones are spread over them and have "corrupt" in their name."""
    chance = np.random.default_rng(0)
    pictures = [Image.fromarray(getattr(data, name)()) for name in PHOTOGRAPHS]
    incoming = photos.with_name(f"{photos.name}.incoming")
    for number in range(images):
        picture = pictures[number % len(pictures)]
        share = chance.uniform(0.5, 1)
        width, height = int(picture.width * share), int(picture.height * share)
        left, top = (int(chance.integers(0, room + 1)) for room in (picture.width - width, picture.height - height))
        crop = picture.crop((left, top, left + width, top + height)).resize((450, 300))
        kind = ("JPEG", "JPEG", "JPEG", "JPEG", "JPEG", "JPEG", "JPEG", "JPEG", "PNG", "WEBP")[number % 10]
        content = io.BytesIO()
        crop.save(content, kind, **({} if kind == "PNG" else {"quality": int(chance.integers(70, 96))}))
        stem, encoded = f"{number:06}", content.getvalue()
        if corrupt and number % (images // corrupt) == 7 and number // (images // corrupt) < corrupt:
            stem += "-corrupt"
            encoded = CORRUPT[(number // (images // corrupt)) % len(CORRUPT)](encoded)
        path = incoming / f"{number // 1000:03}" / f"{stem}.{kind.lower()}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded)
    incoming.rename(photos)


def undisturbed(start: list[str], out: Path) -> tuple[bytes, float, list[int]]:
    """Run the command to its end; return the table, the seconds of the images, and the memory in MB by seconds."""
    rss: list[int] = []
    shards = out.with_name(f"{out.name}.shards")
    with subprocess.Popen(start, stdout=subprocess.PIPE, text=True) as process:
        watched = psutil.Process(process.pid)
        while process.poll() is None:
            if any(shards.glob("part-*")):
                rss.append(round(watched.memory_info().rss / 1e6))
            time.sleep(1)
        assert process.stdout is not None
        document = json.loads(process.stdout.read())
    return out.read_bytes(), document["seconds"], rss


def killed(start: list[str], out: Path, images: int) -> list[int]:
    """Kill the command three times, let it end then, and return the number of images that were there at each kill."""
    there: list[int] = []
    shards = out.with_name(f"{out.name}.shards")
    for share in (0.25, 0.5, 0.75):
        with subprocess.Popen(start, stdout=subprocess.DEVNULL) as process:
            while process.poll() is None and rows(shards) < share * images:
                time.sleep(0.05)
            time.sleep(0.7)  # into the middle of a shard
            process.kill()
        there.append(rows(shards))
    subprocess.run(start, check=True, stdout=subprocess.DEVNULL)
    return there


def rows(shards: Path) -> int:
    """Return the number of rows in the shards that are there."""
    return sum(pyarrow.parquet.read_metadata(part).num_rows for part in shards.glob("part-*"))


if __name__ == "__main__":
    typer.run(main)
