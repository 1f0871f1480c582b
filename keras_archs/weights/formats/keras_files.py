"""Weights from the two kinds of files that Keras writes."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from keras_archs.cards.origin import WeightsInfo
from keras_archs.repository.checksums import sha256_of

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class KerasFile:
    """A ``.keras`` model or a ``.weights.h5`` file; the name says which."""

    path: Path

    def load_into(self, model: "keras.Model", *, prefix: str = "") -> WeightsInfo:
        """Assign every variable of ``model``.

        Args:
            model: The network; it must have the structure of the saved one, under whatever names.
            prefix: What the network's layers are called by before their own names.

        Returns:
            Provenance of the weights.

        Raises:
            ValueError: If the file's structure is another.
        """
        if self.path.suffix == ".keras":
            self._copy_from_model(model, prefix)
        else:
            self._read_weights(model)
        return WeightsInfo(tag=self.path.name, source=f"file {self.path.name}", sha256=sha256_of(self.path))

    def _copy_from_model(self, model: "keras.Model", prefix: str) -> None:
        import keras

        saved = keras.models.load_model(self.path, compile=False, safe_mode=True)
        here, there = _by_path(model, prefix), _by_path(saved)
        if here.keys() == there.keys() and all(here[path].shape == there[path].shape for path in here):
            for path, variable in here.items():
                variable.assign(there[path])
        elif _structure(model) == _structure(saved):  # under other names
            model.set_weights(saved.get_weights())
        else:
            raise ValueError(f"{self.path} does not fit {model.name!r}: {_difference(model, saved)}")

    def _read_weights(self, model: "keras.Model") -> None:
        # Keras reads what the network asks for and leaves the rest of the file alone: so count it first.
        try:
            there = _saved_shapes(self.path)
            here = sorted(tuple(variable.shape) for variable in model.weights)
            if here != there:
                raise ValueError(f"its {len(there)} variables are not the network's {len(here)}")
            model.load_weights(self.path)
        except (ValueError, KeyError, OSError) as error:
            raise ValueError(f"{self.path} does not fit {model.name!r}: {error}") from error


def _saved_shapes(path: Path) -> list[tuple[int, ...]]:
    """Shapes of the variables of all layers in a ``.weights.h5`` file, sorted, without random states."""
    import h5py  # comes with Keras

    shapes: list[tuple[int, ...]] = []

    def visit(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset) and "/seed_generator/" not in name:
            shapes.append(item.shape)

    with h5py.File(path) as file:
        file["layers"].visititems(visit)
    return sorted(shapes)


def _structure(model: "keras.Model") -> list[tuple[str, tuple[int, ...]]]:
    """Kind and shape of every variable in order; layers' names may differ."""
    return [(variable.name, tuple(variable.shape)) for variable in model.weights]


def _difference(here: "keras.Model", there: "keras.Model") -> str:
    ours, theirs = _structure(here), _structure(there)
    for place, (our, their) in enumerate(zip(ours, theirs, strict=False)):
        if our != their:
            return f"variable {place} is {our} here and {their} there"
    return f"{len(ours)} variables here and {len(theirs)} there"


def _by_path(model: "keras.Model", prefix: str = "") -> dict[str, "keras.Variable"]:
    return {variable.path.removeprefix(prefix): variable for variable in model.weights}
