"""Published weights of a network: found before it is built, loaded into it, and described for its origin."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from keras_archs.cards import published_weights
from keras_archs.cards.origin import WeightsInfo
from keras_archs.cards.weights_entry import WeightsEntry
from keras_archs.registry import card_for
from keras_archs.weights.arguments import BuilderCall, arguments_for
from keras_archs.weights.download import Fetched, fetch
from keras_archs.weights.errors import CheckpointError
from keras_archs.weights.formats.reading import read_tensors
from keras_archs.weights.loading import Source, load_tensors
from keras_archs.weights.maps import NAME_MAPS

if TYPE_CHECKING:
    import keras

_OF_A_BUILDER = 4
"""Calls between a warning here and the call of the builder."""


@dataclass(frozen=True)
class PublishedWeights:
    """Published weights whose file is on this machine."""

    entry: WeightsEntry
    arguments: Mapping[str, Any]
    """Arguments that the builder has to take in place of its defaults."""
    fetched: Fetched

    @classmethod
    def find(cls, weights: str, call: BuilderCall) -> Self:
        """Find the weights that a builder is asked for, and fetch their file.

        Args:
            weights: Tag of the weights, or the data set for the network's default.
            call: The call that asks for the weights.

        Raises:
            ValueError: If there are no such weights, or if they need other arguments.
            DownloadError: If no place has the file.

        Warns:
            UserWarning: If the licence does not allow commercial use.
        """
        card = card_for(call.builder, call.arguments)
        if card is None:
            raise ValueError(
                f"{call.builder}(weights={weights!r}): nobody has published weights for this network; "
                "take None or the path of a .keras or .weights.h5 file"
            )
        try:
            entry = published_weights.entry(card.name, weights)
        except ValueError as error:
            raise ValueError(f"{call.builder}(weights={weights!r}): {error}") from None
        arguments = arguments_for(entry, card, call)
        if not entry.commercial:
            warnings.warn(
                f"the licence {entry.licence} of the weights {entry.tag!r} of {entry.network} does not allow "
                "commercial use",
                stacklevel=_OF_A_BUILDER,
            )
        return cls(entry, arguments, fetch(entry))

    def load_into(self, model: "keras.Model", *, prefix: str = "") -> WeightsInfo:
        """Assign the tensors to the variables of a network.

        Args:
            model: The network, built with `arguments`.
            prefix: Prefix of the network's layer names.

        Returns:
            Provenance of the weights.

        Raises:
            CheckpointError: If the file is damaged or does not fit the network; no variable changes.
        """
        entry, file = self.entry, self.fetched.file
        source = Source(NAME_MAPS[entry.names], entry.classes, entry.channel_order)
        try:
            loaded = load_tensors(model, read_tensors(self.fetched.path, file.format), source, prefix=prefix)
        except CheckpointError as error:
            error.add_note(f"weights {entry.tag!r} of {entry.network}, file {self.fetched.path}")
            raise
        return WeightsInfo(
            tag=entry.tag,
            source=self._source,
            sha256=self.fetched.sha256,
            fingerprint=loaded.fingerprint,
            entry=entry,
            untrained=loaded.untrained,
            adapted=loaded.adapted,
        )

    @property
    def _source(self) -> str:
        """Where the weights come from, in words; a file that cannot be verified is not called the published file."""
        file = self.fetched.file
        if self.fetched.is_published:
            return file.description
        return f"file {self.fetched.path.name} from a folder, in place of {file.description}, which has no checksum"
