"""The gateway's routes as data: what to send, and how to read the answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from keras_archs.client import replies
from keras_archs.client.answers import Classification, Explanation, Model, ModelDetails
from keras_archs.client.replies import Reply

T = TypeVar("T")

_BINARY = "application/octet-stream"  # the gateway finds the image's format in its bytes


@dataclass(frozen=True)
class Call(Generic[T]):
    """One request, whichever attempt it takes to answer it.

    Every call may be sent again: none changes anything in the gateway.

    Attributes:
        path: Path below the gateway's URL, percent-encoded.
        read: Function from the reply to the answer; raises the error that the reply describes.
        query: Query parameters; None for those that are not sent.
        images: Encoded images; none for a GET.
    """

    path: str
    read: Callable[[Reply], T]
    query: Mapping[str, int | None] = field(default_factory=dict)
    images: Sequence[bytes] = ()

    @property
    def method(self) -> str:
        """HTTP method."""
        return "POST" if self.images else "GET"

    def body(self) -> dict[str, Any]:
        """Return the body as arguments of httpx: an image as it is, several as the files of a form."""
        match self.images:
            case ():
                return {}
            case (image,):
                return {"content": image, "headers": {"Content-Type": _BINARY}}
            case several:
                return {"files": [("images", (str(n), image, _BINARY)) for n, image in enumerate(several)]}


@dataclass(frozen=True)
class Selection:
    """A model, and which of its versions is to answer: the newest that is ready unless told otherwise.

    Attributes:
        model: Name of the model.
        version: A version.
        label: A version label, such as "stable".
    """

    model: str
    version: int | None = None
    label: str | None = None

    def __post_init__(self) -> None:
        if not self.model:
            raise ValueError("the model needs a name; got ''")
        if self.version is not None and self.label is not None:
            raise ValueError(f"give a version or a label, not both; got {self.version} and {self.label!r}")

    @property
    def path(self) -> str:
        """The last parts of the path, percent-encoded."""
        if self.version is not None:
            return f"{_quoted(self.model)}/versions/{self.version}"
        if self.label is not None:
            return f"{_quoted(self.model)}/labels/{_quoted(self.label)}"
        return _quoted(self.model)


def classify(images: Sequence[bytes], selection: Selection, top_k: int | None) -> Call[list[Classification]]:
    """Ask for the best classes of images."""
    return Call(f"classify/{selection.path}", replies.classifications, {"top_k": top_k}, tuple(images))


def explain(image: bytes, selection: Selection, index: int | None) -> Call[Explanation]:
    """Ask which places of an image are evidence for a class."""
    return Call(f"explain/{selection.path}", replies.explanation, {"class": index}, (image,))


def model(name: str) -> Call[ModelDetails]:
    """Ask for one model."""
    return Call(f"models/{Selection(name).path}", replies.model_details)


MODELS: Call[tuple[Model, ...]] = Call("models", replies.models)
READY: Call[bool] = Call("readyz", replies.readiness)


def _quoted(name: str) -> str:
    return quote(name, safe="")
