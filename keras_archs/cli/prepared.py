"""A network of the registry as a published version, for commands that need its answers and no repository."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from importlib import metadata
from pathlib import Path

from keras_archs.cards import published_weights
from keras_archs.cli.output import working
from keras_archs.cli.quiet import import_keras
from keras_archs.images.labels import imagenet_labels
from keras_archs.registry import create_model, model_card
from keras_archs.repository.artifact import find_version, read_model_folder
from keras_archs.repository.checksums import sha256_of


def export_to(repository: Path, name: str, weights: str | None, *, allow_untrained: bool = False) -> Path:
    """Publish a network of the registry as version 1, and return the folder of the version.

    Args:
        repository: Folder of the repository, created if needed.
        name: Name in the registry.
        weights: Tag or file of the weights; None for the network's default.
        allow_untrained: Whether a network without default weights gets initial ones.

    Raises:
        ValueError: There are no such weights, or none by default.
        FileExistsError: The version exists already.
    """
    tags = model_card(name).weights
    default = published_weights.default_entry(name)
    if weights is None and default is None and not allow_untrained:
        raise ValueError(
            f"{name} has no default weights: give {''.join(f'--weights {tag}, ' for tag in tags)}--weights PATH or "
            "--allow-untrained"
        )
    with working(f"Preparing {name}"):
        import_keras()
        from keras_archs.export.publish import export_model

        model = create_model(name, weights=weights or (default and default.tag))
        labels = imagenet_labels() if model.output_shape[-1] == len(imagenet_labels()) else None
        return export_model(
            model, repository, name=name, version=1, labels=labels, allow_untrained=allow_untrained
        ).path


def models_cache() -> Path:
    """Return the folder for networks of the registry that commands have published; KERAS_HOME moves it."""
    from keras_archs.weights.download.places import keras_home  # with the formats of weights

    return keras_home() / "keras_archs" / "models"


def cached_version(name: str, weights: str | None = None) -> Path:
    """Return the folder of a network of the registry as a published version, which is made once and kept.

    Args:
        name: Name in the registry.
        weights: Tag or file of the weights; None for the network's default.

    Raises:
        ValueError: There are no such weights, or none by default.
        OSError: The file of the weights cannot be read.
    """
    repository = models_cache() / _key(name, weights)
    if not read_model_folder(repository / name).versions:
        with suppress(FileExistsError):  # another process was faster
            export_to(repository, name, weights)
    return find_version(repository, name)


def _key(name: str, weights: str | None) -> str:
    """Return a key that differs if another release of the package, or other weights, would give another version."""
    tags = model_card(name).weights
    if weights is not None and Path(weights).is_file():
        source = sha256_of(Path(weights))
    else:
        entry = published_weights.entry(name, weights) if weights else published_weights.default_entry(name)
        if entry is None:
            raise ValueError(
                f"{name} has no default weights: give {''.join(f'--weights {tag}, ' for tag in tags)}--weights PATH, "
                "or --repository with a published version"
            )
        source = repr(entry)
    content = json.dumps([metadata.version("keras-archs"), source])
    return hashlib.sha256(content.encode()).hexdigest()[:16]
