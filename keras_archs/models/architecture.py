"""The decorator of every public builder: arguments, signature, documentation, checks and weights.

A family describes its arguments in a ``TypedDict`` that extends `ClassifierOptions`, with default, documentation and
check beside the type of each argument. `architecture` then turns a one-line function into a keyword-only function whose
signature and help readers, editors and `inspect` can use::

    @architecture(EfficientNetOptions, dropout_rate=0.3)
    def EfficientNetB2(**options: Unpack[EfficientNetOptions]) -> keras.Model:
        '''EfficientNet-B2: 260 pixels, width 1.1, depth 1.2.'''
        return _efficientnet(...)
"""

import functools
import inspect
import textwrap
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, get_type_hints

import keras

from keras_archs.cards.origin import Origin, remember
from keras_archs.layers.options import Option, option_of, plain
from keras_archs.registry import card_for
from keras_archs.weights import BuilderCall, find_weights

P = ParamSpec("P")


def architecture(options: type, **defaults: object) -> Callable[[Callable[P, keras.Model]], Callable[P, keras.Model]]:
    """Return a decorator that makes a public builder of a function that assembles a network.

    The builder takes keywords only, refuses unknown ones, checks the values, fills in the defaults, loads the weights
    and remembers the model's origin with its card. The decorated function receives a value for every option.

    Args:
        options: A ``TypedDict`` whose fields are annotated with `Option`.
        **defaults: Defaults of this builder that differ from those in ``options``.

    Returns:
        The decorator.
    """

    def decorate(assemble: Callable[P, keras.Model]) -> Callable[P, keras.Model]:
        builder = assemble.__name__
        hints = {key: option_of(hint) for key, hint in get_type_hints(options, include_extras=True).items()}
        types = {key: type_ for key, (type_, _) in hints.items()}
        described = {key: option for key, (_, option) in hints.items()}
        default = {key: option.default for key, option in described.items()}
        default |= {"name": builder.lower(), **defaults}

        @functools.wraps(assemble)
        def build(*args: P.args, **kwargs: P.kwargs) -> keras.Model:
            if args:
                raise TypeError(f"{builder}() takes keyword arguments only, got {len(args)} positional")
            if unknown := [key for key in kwargs if key not in default]:
                raise TypeError(f"{builder}() got unknown arguments {unknown}; it takes {list(default)}")
            call = BuilderCall(builder, {key: plain(value) for key, value in kwargs.items()}, default)
            arguments = call.arguments
            for key, option in described.items():
                if not option.allowed(arguments[key]):
                    raise ValueError(f"{builder}({key}={arguments[key]!r}) is not allowed. {key}: {option.doc}")
            weights = find_weights(call)  # found before the network is built, to fail early
            if weights:
                arguments |= weights.arguments
            model = assemble(**arguments)  # type: ignore[call-arg]  # the keys of the TypedDict that it declares
            info = weights.load_into(model, prefix=arguments["prefix"]) if weights else None
            changed = _changed(arguments, default)
            remember(model, Origin(builder, changed, info, card_for(builder, changed)))
            return model

        build.__signature__ = inspect.Signature(  # type: ignore[attr-defined]  # read by help() and editors
            [
                inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=value, annotation=types[key])
                for key, value in default.items()
            ],
            return_annotation=keras.Model,
        )
        build.__doc__ = _documentation(assemble.__doc__ or "", described)
        return build

    return decorate


def _changed(arguments: Mapping[str, Any], default: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments that differ from the defaults, as JSON can write them, and without weights.

    A tensor's shape stands for the tensor, and its name for a function.
    """
    comparable = {key: value for key, value in arguments.items() if key not in {"input_tensor", "weights"}}
    if callable(activation := arguments["classifier_activation"]):
        comparable["classifier_activation"] = getattr(activation, "__name__", type(activation).__name__)
    if (tensor := arguments["input_tensor"]) is not None:
        comparable["input_shape"] = tuple(tensor.shape[1:])
    return {key: value for key, value in comparable.items() if value != default[key]}


def _documentation(summary: str, described: Mapping[str, Option]) -> str:
    """Return the builder's documentation: the function's own text, the arguments, and the text that builders share."""
    arguments = [
        textwrap.fill(f"{key}: {option.doc}", 100, initial_indent=" " * 4, subsequent_indent=" " * 8)
        for key, option in described.items()
    ]
    return "\n".join(
        [
            inspect.cleandoc(summary),
            "",
            "Expects images normalised by the preprocessing of the weights: that of the model card for the default.",
            "",
            "Args:",
            *arguments,
            "",
            "Returns:",
            "    A functional Keras model.",
            "",
            "Raises:",
            "    TypeError: For an unknown argument or a positional one.",
            "    ValueError: For a value that is not allowed, and for weights that are unknown or do not fit.",
            "    FileNotFoundError: For a file of weights that does not exist.",
            "    keras_archs.weights.errors.DownloadError: For published weights whose file no place has.",
        ]
    )
