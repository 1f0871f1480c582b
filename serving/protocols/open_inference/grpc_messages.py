"""The messages of `inference.GRPCInferenceService`, described here and built when this module is imported.

The packages that bring generated classes are clients and servers of their own, of some hundred megabytes. The classes
get a descriptor pool of their own, so that such a package can be imported in the same process.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

PACKAGE = "inference"
SERVICE = f"{PACKAGE}.GRPCInferenceService"

_TENSOR = ("string name", "string datatype", "repeated int64 shape")
_WITH_CONTENTS = (*_TENSOR, "map parameters", "InferTensorContents contents")
_ONE_VERSION = ("string name", "string version")

_MESSAGES: Final[Mapping[str, tuple[str, ...]]] = {
    "ServerLiveRequest": (),
    "ServerLiveResponse": ("bool live",),
    "ServerReadyRequest": (),
    "ServerReadyResponse": ("bool ready",),
    "ModelReadyRequest": _ONE_VERSION,
    "ModelReadyResponse": ("bool ready",),
    "ServerMetadataRequest": (),
    "ServerMetadataResponse": ("string name", "string version", "repeated string extensions"),
    "ModelMetadataRequest": _ONE_VERSION,
    "ModelMetadataResponse": (
        "string name",
        "repeated string versions",
        "string platform",
        "repeated ModelMetadataResponse.TensorMetadata inputs",
        "repeated ModelMetadataResponse.TensorMetadata outputs",
    ),
    "ModelMetadataResponse.TensorMetadata": _TENSOR,
    "ModelInferRequest": (
        "string model_name",
        "string model_version",
        "string id",
        "map parameters",
        "repeated ModelInferRequest.InferInputTensor inputs",
        "repeated ModelInferRequest.InferRequestedOutputTensor outputs",
        "repeated bytes raw_input_contents",
    ),
    "ModelInferRequest.InferInputTensor": _WITH_CONTENTS,
    "ModelInferRequest.InferRequestedOutputTensor": ("string name", "map parameters"),
    "ModelInferResponse": (
        "string model_name",
        "string model_version",
        "string id",
        "map parameters",
        "repeated ModelInferResponse.InferOutputTensor outputs",
        "repeated bytes raw_output_contents",
    ),
    "ModelInferResponse.InferOutputTensor": _WITH_CONTENTS,
    "InferParameter": (
        "oneof bool bool_param",
        "oneof int64 int64_param",
        "oneof string string_param",
        "oneof double double_param",
        "oneof uint64 uint64_param",
    ),
    "InferTensorContents": (
        "repeated bool bool_contents",
        "repeated int32 int_contents",
        "repeated int64 int64_contents",
        "repeated uint32 uint_contents",
        "repeated uint64 uint64_contents",
        "repeated float fp32_contents",
        "repeated double fp64_contents",
        "repeated bytes bytes_contents",
    ),
    "RepositoryIndexRequest": ("string repository_name", "bool ready"),
    "RepositoryIndexResponse": ("repeated RepositoryIndexResponse.ModelIndex models",),
    "RepositoryIndexResponse.ModelIndex": ("string name", "string version", "string state", "string reason"),
}
"""The fields of each message, numbered from 1 in this order. A map is from texts to `InferParameter`."""


def _file() -> FileDescriptorProto:
    file = FileDescriptorProto(name="keras_archs/open_inference.proto", package=PACKAGE, syntax="proto3")
    made: dict[str, DescriptorProto] = {}
    for path, fields in _MESSAGES.items():
        enclosing, _, name = path.rpartition(".")
        messages = made[enclosing].nested_type if enclosing else file.message_type
        made[path] = messages.add(name=name)
        for number, field in enumerate(fields, start=1):
            _add_field(made[path], path, number, field)
    return file


def _add_field(message: DescriptorProto, path: str, number: int, written: str) -> None:
    *words, name = written.split()
    field = message.field.add(name=name, number=number, label=FieldDescriptorProto.LABEL_OPTIONAL)
    if words[0] == "oneof":
        if not message.oneof_decl:
            message.oneof_decl.add(name="parameter_choice")
        field.oneof_index = 0
    elif words[0] in ("repeated", "map"):
        field.label = FieldDescriptorProto.LABEL_REPEATED
    if words[0] == "map":
        entry = message.nested_type.add(name=f"{name.capitalize()}Entry")
        entry.options.map_entry = True
        _add_field(entry, path, 1, "string key")
        _add_field(entry, path, 2, "InferParameter value")
        words = [f"{path}.{entry.name}"]
    kind = words[-1]
    if kind[0].isupper():
        field.type, field.type_name = FieldDescriptorProto.TYPE_MESSAGE, f".{PACKAGE}.{kind}"
    else:
        field.type = FieldDescriptorProto.Type.Value(f"TYPE_{kind.upper()}")


POOL = DescriptorPool()
POOL.Add(_file())


def message_class(name: str) -> Any:
    """Return the class of a message, e.g. "ModelInferRequest"."""
    return GetMessageClass(POOL.FindMessageTypeByName(f"{PACKAGE}.{name}"))
