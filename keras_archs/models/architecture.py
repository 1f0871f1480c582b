"""What every public architecture function has in common: arguments, signature, documentation, weights.

A family describes its arguments once, as a ``TypedDict`` that extends `ClassifierOptions`, with default,
documentation and check of each argument beside its type. `architecture` then turns a one-line function into a
keyword-only function whose signature and help a reader, an IDE and `inspect` can use::

    @architecture(EfficientNetOptions, dropout_rate=0.3)
    def EfficientNetB2(**options: Unpack[EfficientNetOptions]) -> keras.Model:
        '''EfficientNet-B2: 260 pixels, width 1.1, depth 1.2.'''
        return _efficientnet(...)
"""

import functools
import inspect
import textwrap
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, get_args, get_type_hints

import keras

from keras_archs.cards.origin import Origin, remember
from keras_archs.layers.options import IMAGENET_CLASSES, Option
from keras_archs.weights import find_weights

P = ParamSpec("P")


def architecture(options: type, **defaults: object) -> Callable[[Callable[P, keras.Model]], Callable[P, keras.Model]]:
    """Make a function that assembles a network a public builder.

    The builder takes keywords only, refuses unknown ones, checks the values, fills in the defaults, loads
    the weights and remembers the model's origin. The decorated function gets every option, and assembles.

    Args:
        options: A TypedDict whose fields are annotated with `Option`.
        **defaults: Where the function's defaults differ from those of ``options``.

    Returns:
        The decorator.
    """

    def decorate(assemble: Callable[P, keras.Model]) -> Callable[P, keras.Model]:
        builder = assemble.__name__
        hints = get_type_hints(options, include_extras=True)
        types = {key: get_args(hint)[0] for key, hint in hints.items()}
        described: dict[str, Option] = {key: get_args(hint)[1] for key, hint in hints.items()}
        default = {key: option.default for key, option in described.items()}
        default |= {"name": builder.lower(), **defaults}

        @functools.wraps(assemble)
        def build(*args: P.args, **kwargs: P.kwargs) -> keras.Model:
            if args:
                raise TypeError(f"{builder}() takes keyword arguments only, got {len(args)} positional")
            if unknown := [key for key in kwargs if key not in default]:
                raise TypeError(f"{builder}() got unknown arguments {unknown}; it takes {list(default)}")
            arguments = default | kwargs
            for key, option in described.items():
                if not option.allowed(arguments[key]):
                    raise ValueError(f"{builder}({key}={arguments[key]!r}) is not allowed. {key}: {option.doc}")
            weights = find_weights(arguments["weights"], builder)  # before the work of building, if it fails
            _check_imagenet(builder, arguments)
            model = assemble(**arguments)  # type: ignore[call-arg]  # the very options it declares
            info = weights.load_into(model, prefix=arguments["prefix"]) if weights else None
            remember(model, Origin(builder, _changed(arguments, default), info))
            return model

        build.__signature__ = inspect.Signature(  # type: ignore[attr-defined]  # read by help() and IDEs
            [
                inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=value, annotation=types[key])
                for key, value in default.items()
            ],
            return_annotation=keras.Model,
        )
        build.__doc__ = _documentation(assemble.__doc__ or "", described)
        return build

    return decorate


def _check_imagenet(builder: str, arguments: Mapping[str, Any]) -> None:
    """ImageNet weights fit one classifier and colour images only."""
    if arguments["weights"] != "imagenet":
        return
    if arguments["include_top"] and arguments["classes"] != IMAGENET_CLASSES:
        raise ValueError(
            f"{builder}(weights='imagenet') has {IMAGENET_CLASSES} classes, got {arguments['classes']}; leave "
            "the classifier out (include_top=False) to put another one on top"
        )
    tensor = arguments["input_tensor"]
    match arguments["input_shape"] if tensor is None else tuple(tensor.shape):
        case (*_, int() as channels) if channels != 3:
            raise ValueError(f"{builder}(weights='imagenet') takes 3 channels, got {channels}")


def _changed(arguments: Mapping[str, Any], default: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that differ from the defaults; a tensor is remembered by its shape, weights elsewhere."""
    comparable = {key: value for key, value in arguments.items() if key not in {"input_tensor", "weights"}}
    if (tensor := arguments["input_tensor"]) is not None:
        comparable["input_shape"] = tuple(tensor.shape[1:])
    return {key: value for key, value in comparable.items() if value != default[key]}


def _documentation(summary: str, described: Mapping[str, Option]) -> str:
    """The function's own text, followed by what all builders share."""
    arguments = [
        textwrap.fill(f"{key}: {option.doc}", 100, initial_indent=" " * 4, subsequent_indent=" " * 8)
        for key, option in described.items()
    ]
    return "\n".join(
        [
            inspect.cleandoc(summary),
            "",
            "The input is normalised already; the model card's preprocessing says how.",
            "",
            "Args:",
            *arguments,
            "",
            "Returns:",
            "    A functional Keras model.",
            "",
            "Raises:",
            "    TypeError: For an unknown argument or a positional one.",
            "    ValueError: For a value that is not allowed, and for weights that do not exist or fit.",
            "    FileNotFoundError: For a file of weights that is not there.",
            "    ModuleNotFoundError: For weights from a package that is not installed.",
        ]
    )
