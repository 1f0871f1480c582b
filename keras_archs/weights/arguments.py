"""The arguments that a builder has to take so that its network is the one that weights were published for."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from keras_archs.cards.model_card import ModelCard
from keras_archs.cards.weights_entry import WeightsEntry

_SAME_NETWORK = frozenset(
    {
        *("include_top", "weights", "input_tensor", "input_shape", "pooling", "classes", "classifier_activation"),
        *("name", "prefix", "dropout_rate", "drop_connect_rate", "drop_path_rate", "drop_path_decay", "drop_path_per"),
        *("zero_init_residual", "memory_efficient"),
    }
)
"""Arguments that change first and last layers, names, initial values or training, but not the network in between."""


@dataclass(frozen=True)
class BuilderCall:
    """One call of a public builder."""

    builder: str
    """Name of the function, e.g. ``"EfficientNetLite0"``."""
    given: Mapping[str, Any]
    """Arguments that the caller gave."""
    defaults: Mapping[str, Any]
    """Default of every argument."""

    @property
    def arguments(self) -> dict[str, Any]:
        """Value of every argument."""
        return {**self.defaults, **self.given}


def arguments_for(entry: WeightsEntry, card: ModelCard, call: BuilderCall) -> dict[str, Any]:
    """Return the arguments that a builder has to take in place of its defaults to load an entry's weights.

    These are the entry's own arguments, and the entry's size of images if it is not the network's default.

    Args:
        entry: The weights.
        card: Card of the network.
        call: The call that asks for the weights.

    Raises:
        ValueError: If an argument makes another network, or an answer that the classifier was not trained for; the
            message says what the weights need.
    """
    arguments, weights = call.arguments, f"the weights {entry.tag!r} of {entry.network}"
    needed = {**call.defaults, **card.arguments, **entry.arguments}
    for key, value in call.given.items():
        if key not in _SAME_NETWORK and value != needed[key]:
            raise ValueError(f"{call.builder}({key}={value!r}): {weights} need {key}={needed[key]!r}")
    activation = arguments["classifier_activation"]
    trained_classifier = arguments["include_top"] and arguments["classes"] == entry.classes
    if trained_classifier and getattr(activation, "__name__", activation) not in ("softmax", None):
        raise ValueError(
            f"{call.builder}(classifier_activation={activation!r}): the classifier of {weights} was trained with a "
            "softmax; leave the activation out, or take None for the logits"
        )
    has_default_input = arguments["input_shape"] is None and arguments["input_tensor"] is None
    if arguments["include_top"] and has_default_input and entry.preprocessing.size != card.cost.size:
        return {**entry.arguments, "input_shape": (*entry.preprocessing.size, 3)}
    return dict(entry.arguments)
