"""Read weights from the two kinds of files that Keras writes."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from keras_archs.cards.origin import WeightsInfo
from keras_archs.repository.checksums import sha256_of
from keras_archs.weights.errors import CheckpointError
from keras_archs.weights.fingerprint import fingerprint_of

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class KerasFile:
    """A ``.keras`` model or a ``.weights.h5`` file, told apart by the suffix."""

    path: Path
    arguments: ClassVar[Mapping[str, Any]] = MappingProxyType({})
    """Arguments that the builder has to take in place of its defaults: the file does not tell."""

    def load_into(self, model: "keras.Model", *, prefix: str = "") -> WeightsInfo:
        """Assign every variable of ``model``.

        Args:
            model: The network, of the same structure as the saved network; layer names may differ.
            prefix: Prefix of the model's layer names.

        Returns:
            Provenance of the weights.

        Raises:
            CheckpointError: If the file is damaged, or the saved network has another structure.
        """
        if self.path.suffix == ".keras":
            self._copy_from_model(model, prefix)
        else:
            self._read_weights(model)
        return WeightsInfo(
            tag=self.path.name,
            source=f"file {self.path.name}",
            sha256=sha256_of(self.path),
            fingerprint=fingerprint_of(model, prefix),
        )

    def _copy_from_model(self, model: "keras.Model", prefix: str) -> None:
        import keras

        try:
            saved = keras.models.load_model(self.path, compile=False, safe_mode=True)
        except Exception as error:  # a damaged file can raise any exception
            raise CheckpointError(f"{self.path} is damaged, or not a model that Keras saved: {error}") from error
        variables, saved_variables = _by_path(model, prefix), _by_path(saved)
        if variables.keys() == saved_variables.keys() and all(
            variable.shape == saved_variables[path].shape for path, variable in variables.items()
        ):
            for path, variable in variables.items():
                variable.assign(saved_variables[path])
        elif _structure(model) == _structure(saved):  # the same network under other layer names
            model.set_weights(saved.get_weights())
        else:
            raise CheckpointError(f"{self.path} does not fit {model.name!r}: {_difference(model, saved)}")

    def _read_weights(self, model: "keras.Model") -> None:
        # Keras silently ignores variables of the file that the network lacks, so compare shapes first.
        try:
            saved_shapes = _saved_shapes(self.path)
            shapes = sorted(tuple(variable.shape) for variable in model.weights)
            if shapes != saved_shapes:
                raise ValueError(
                    f"the file has {len(saved_shapes)} variables, the network {len(shapes)}, and their shapes differ"
                )
            model.load_weights(self.path)
        except Exception as error:  # a damaged file can raise any exception
            raise CheckpointError(f"{self.path} does not fit {model.name!r}: {error}") from error


def _saved_shapes(path: Path) -> list[tuple[int, ...]]:
    """Return the sorted shapes of all layers' variables in a ``.weights.h5`` file, without random states."""
    import h5py  # Keras depends on h5py

    shapes: list[tuple[int, ...]] = []

    def visit(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset) and "/seed_generator/" not in name:
            shapes.append(item.shape)

    with h5py.File(path) as file:
        if not isinstance(file.get("layers", getlink=True), h5py.HardLink):
            raise ValueError("the file has no group layers, or only a link to it")
        file["layers"].visititems(visit)
    return sorted(shapes)


def _structure(model: "keras.Model") -> list[tuple[str, tuple[int, ...]]]:
    """Return kind and shape of every variable in order, without the layers' names."""
    return [(variable.name, tuple(variable.shape)) for variable in model.weights]


def _difference(model: "keras.Model", saved: "keras.Model") -> str:
    """Describe the first variable that differs."""
    variables, saved_variables = _structure(model), _structure(saved)
    for place, (variable, saved_variable) in enumerate(zip(variables, saved_variables, strict=False)):
        if variable != saved_variable:
            return f"variable {place} is {variable} in the network and {saved_variable} in the file"
    return f"the network has {len(variables)} variables, the file {len(saved_variables)}"


def _by_path(model: "keras.Model", prefix: str = "") -> dict[str, "keras.Variable"]:
    return {variable.path.removeprefix(prefix): variable for variable in model.weights}
