"""`keras-archs weights convert`: a checkpoint of another library becomes a file that a builder loads."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from keras_archs.cards.model_card import ModelCard
from keras_archs.cards.published_weights import entries
from keras_archs.cards.weights_entry import WeightsEntry
from keras_archs.cli.output import JsonOption, working, write_json
from keras_archs.cli.quiet import import_keras
from keras_archs.registry import create_model, list_weights, model_card

if TYPE_CHECKING:
    import keras
    import numpy as np
    from numpy.typing import NDArray

    from keras_archs.weights.dialects import UnknownDialectError

_CONVERTED = ".weights.h5"


def convert(
    checkpoint: Annotated[
        Path,
        typer.Argument(
            metavar="CHECKPOINT",
            help="A state dict of torchvision's, timm's or pytorchcv's network (.pth, .safetensors), or a network of "
            "keras.applications (.h5, .keras).",
        ),
    ],
    output: Annotated[Path, typer.Argument(metavar="OUT.weights.h5", help="File to write; it must not exist.")],
    arch: Annotated[str, typer.Option(metavar="MODEL", help="Name of the network, as 'keras-archs list' prints it.")],
    names: Annotated[
        str | None,
        typer.Option(metavar="SOURCE", help="Whose names the tensors have, if the names of several sources fit."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Convert a checkpoint of another library to a file that the network's builder loads (weights=OUT).

    The source is recognised by the names of its tensors, and the number of classes by the classifier. If the checkpoint
    does not fit the network, everything that does not fit is listed on both sides.
    """
    card = model_card(arch)
    _check_output(output)
    with working(f"Converting {checkpoint.name}"):
        import_keras()
        from keras_archs.weights.dialects import AmbiguousDialectError, UnknownDialectError, recognise
        from keras_archs.weights.loading import Source, load_tensors
        from keras_archs.weights.maps import NAME_MAPS

        tensors, of_keras = _read(checkpoint)
        try:
            dialect = recognise(tensors, _skeletons(card), _keys(card, names, of_keras=of_keras))
        except AmbiguousDialectError as error:
            options = " or ".join(f"--names {key}" for key in error.keys)
            raise ValueError(f"{checkpoint}: {error}; give {options}") from error
        except UnknownDialectError as error:
            raise ValueError(f"{checkpoint} does not fit {card.name}: {_explained(error)}") from error
        order = _channel_order(dialect.key)
        arguments: dict[str, Any] = {"classes": dialect.classes} if dialect.classes else {"include_top": False}
        model = create_model(card.name, **arguments)
        load_tensors(model, tensors, Source(NAME_MAPS[dialect.key], dialect.classes or 0, order))
        with _complete_or_absent(output) as path:
            model.save_weights(path)
    needed = _needed(entries(card.name), dialect.key)
    if len(needed) == 1:
        arguments |= needed[0]
    elif needed:
        alternatives = " or ".join(str(alternative) for alternative in needed)
        typer.echo(f"give the builder the arguments of the checkpoint's network, {alternatives}", err=True)
    _report(card, output, dialect.key, len(tensors), arguments, order, as_json=as_json)


def _check_output(output: Path) -> None:
    if not output.name.endswith(_CONVERTED):
        raise ValueError(f"the output must end with {_CONVERTED}, which builders load; got {output}")
    _check_absent(output)
    if not output.parent.is_dir():
        raise FileNotFoundError(f"{output.parent} is not a folder")


def _check_absent(output: Path) -> None:
    if output.exists():
        raise FileExistsError(f"{output} exists already: nothing is overwritten")


def _read(checkpoint: Path) -> tuple[Mapping[str, NDArray[Any]], bool]:
    """Return the tensors of a checkpoint, and whether they are named by layers of Keras."""
    from keras_archs.weights.formats.reading import format_of, read_tensors

    if not checkpoint.is_file():
        raise FileNotFoundError(f"{checkpoint}: file not found")
    if checkpoint.name.endswith(_CONVERTED):
        raise ValueError(f"{checkpoint} has the format that builders load already: pass it as weights=...")
    if checkpoint.suffix == ".keras":
        return _read_model(checkpoint), True
    format_ = format_of(checkpoint)
    return read_tensors(checkpoint, format_), format_ == "h5"


def _read_model(checkpoint: Path) -> dict[str, NDArray[np.float32]]:
    """Return the variables of a model that Keras saved."""
    import keras
    import numpy as np

    try:
        model = keras.models.load_model(checkpoint, compile=False, safe_mode=True)
    except Exception as error:  # a damaged file can raise any exception
        raise ValueError(f"{checkpoint} is damaged, or not a model that Keras saved: {error}") from error
    return {
        f"{layer.name}/{variable.name}": np.asarray(variable) for layer in model.layers for variable in layer.weights
    }


def _keys(card: ModelCard, chosen: str | None, *, of_keras: bool) -> list[str]:
    """Return the keys of the name maps to try: the chosen key, or all, those of the network's family first.

    Tensors of Keras are assigned by their position, so that the names of another family could seem to fit.
    """
    from keras_archs.weights.dialects import OF_KERAS
    from keras_archs.weights.maps import NAME_MAPS

    family = [entry.names for entry in list_weights("*") if model_card(entry.network).family == card.family]
    keys = family if of_keras else [*family, *NAME_MAPS]
    candidates = [key for key in dict.fromkeys(keys) if key.startswith(OF_KERAS) == of_keras]
    if chosen is not None:
        if chosen not in candidates:
            raise ValueError(f"--names must be {', '.join(sorted(candidates))}; got {chosen}")
        return [chosen]
    if not candidates:
        raise ValueError(
            f"keras.applications has no network that equals {card.name}; a file that {card.builder} saved needs no "
            "conversion"
        )
    return candidates


def _skeletons(card: ModelCard) -> Callable[..., keras.Model]:
    """Return a function that builds the network without values of its variables, once for the same arguments."""
    from keras_archs.analysis.weightless import weightless

    @functools.cache
    def build(**arguments: Any) -> keras.Model:
        with weightless():
            return create_model(card.name, **arguments)

    return build


def _explained(error: UnknownDialectError) -> str:
    """Print everything that does not fit the nearest source's names, and return how much it is."""
    if error.mismatch is None:
        return str(error)
    kinds = {
        "variables without a tensor": error.mismatch.missing,
        "tensors without a variable": error.mismatch.left_over,
        "shapes that differ": error.mismatch.misshapen,
        "tensors out of order": error.mismatch.misplaced,
    }
    for kind, names in kinds.items():
        if names:
            typer.echo("\n  ".join([f"{kind}:", *names]), err=True)
    counted = ", ".join(f"{len(names)} {kind}" for kind, names in kinds.items() if names)
    return f"with the names of {error.nearest}, there are {counted}"


def _channel_order(key: str) -> Literal["rgb", "bgr"]:
    """Return the order of the channels for which the networks of a source were trained."""
    return next((entry.channel_order for entry in list_weights("*") if entry.names == key), "rgb")


def _needed(published: Iterable[WeightsEntry], key: str) -> list[dict[str, Any]]:
    """Return the different arguments of the builder that the network's published weights with these names need."""
    needed: list[dict[str, Any]] = []
    for entry in published:
        if entry.names == key and dict(entry.arguments) not in needed:
            needed.append(dict(entry.arguments))
    return needed


@contextmanager
def _complete_or_absent(output: Path) -> Iterator[Path]:
    """Give a path beside the output, which is renamed to the output when the block has ended without an error."""
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=".converting-") as folder:
        path = Path(folder, output.name)
        yield path
        _check_absent(output)  # it may have come into being meanwhile
        path.rename(output)


def _report(
    card: ModelCard,
    output: Path,
    key: str,
    tensors: int,
    arguments: Mapping[str, Any],
    order: str,
    *,
    as_json: bool,
) -> None:
    given = {**card.arguments, **arguments}
    call = ", ".join([f"weights={str(output)!r}", *(f"{name}={value!r}" for name, value in given.items())])
    if as_json:
        write_json(
            {
                "path": str(output),
                "model": card.name,
                "builder": card.builder,
                "arguments": given,
                "names": key,
                "tensors": tensors,
                "channel_order": order,
            }
        )
        return
    from keras_archs.weights.maps import NAME_MAPS

    typer.echo(f"{tensors} tensors with the names of {key}: {output}")
    if look_alikes := NAME_MAPS[key].look_alikes:
        typer.echo(f"note: the checkpoint must not be of {look_alikes}: its tensors would fit just as well", err=True)
    if order == "bgr":
        typer.echo("the checkpoint is for BGR images; the channels of the first convolution were reversed, for RGB")
    typer.echo(f"load them: keras_archs.{card.builder}({call})")
