"""SavedModels as graphs of OpenVINO: one signature read, and corrected where OpenVINO's conversion is wrong."""

from __future__ import annotations

import tempfile
from pathlib import Path

from keras_archs.runtimes.saved_model import write_with_default
from keras_archs.runtimes.silent_openvino import ov

_BYTES = (ov.Type.i8, ov.Type.u8)


def read_graph(core: ov.Core, saved_model: Path, signature: str = "serving_default") -> ov.Model:
    """Convert one signature of a SavedModel.

    OpenVINO converts only `serving_default`: asked for the outputs of another signature, its frontend returns an
    empty model. So another signature is read from a copy of the graph in which it is `serving_default`. (Cutting
    the pooling and the classifier's weights out of the converted graph would depend on how one OpenVINO release
    names its nodes.)
    """
    if signature == "serving_default":
        graph = core.read_model(saved_model)
    else:
        with tempfile.TemporaryDirectory() as folder:
            write_with_default(saved_model, signature, Path(folder))
            graph = core.read_model(folder)
    _widen_products_of_bytes(graph)
    return graph


def read_fused_graph(saved_model: Path, input_shape: tuple[int, ...]) -> ov.Model:
    """Convert `serving_default` of a SavedModel, with normalisation folded into the weights of convolutions.

    `read_graph` leaves the folding to the compilation. A quantization needs it before: only then does a convolution
    have the weights that are to be rounded, and a bias that can make up for the rounding.

    Args:
        saved_model: Folder of the SavedModel.
        input_shape: Shape of the input `images`, with the batch.
    """
    graph = ov.convert_model(saved_model, input=[("images", list(input_shape))])
    _widen_products_of_bytes(graph)
    return graph


def joined(graph: ov.Model, other: ov.Model) -> ov.Model:
    """Return a graph with the outputs of two signatures of a SavedModel; operations of both are computed once.

    Args:
        graph: Graph of one signature; its input is that of the result.
        other: Graph of another signature with the same input; it cannot be used any more.
    """
    (images,), (same,) = graph.get_parameters(), other.get_parameters()
    for reader in same.output(0).get_target_inputs():
        reader.replace_source_output(images.output(0))
    return ov.Model([*graph.get_results(), *other.get_results()], [images])


def _widen_products_of_bytes(graph: ov.Model) -> None:
    """Let products of 8-bit matrices be sums in float32.

    TensorFlow multiplies matrices of int8 (those of Keras' quantized layers) to sums in int32. OpenVINO ignores this
    type of the output, and its sums in int8 overflow. In float32, sums are exact up to 2^24, which is 1,040 products of
    the largest int8 values, and close to exact above.
    """
    for product in graph.get_ops():
        if product.get_type_name() != "MatMul" or product.get_output_element_type(0) not in _BYTES:
            continue
        widened = ov.opset13.matmul(
            *(ov.opset13.convert(value, "f32") for value in product.input_values()),
            transpose_a=product.get_attributes()["transpose_a"],
            transpose_b=product.get_attributes()["transpose_b"],
        )
        product.output(0).replace(widened.output(0))
    graph.validate_nodes_and_infer_types()


def memory_of(graph: ov.Model) -> int:
    """Estimate the bytes of memory that a graph takes once it is compiled, beside files that are mapped into memory.

    Compiled weights are kept beside the original ones, and each operation has buffers and code of its own. Measured on
    seven networks of 16 to 528 MB with one and two streams, the estimate is 9 % below to 19 % above the growth of the
    process.
    """
    operations = graph.get_ops()
    weights = sum(operation.data.nbytes for operation in operations if operation.get_type_name() == "Constant")
    return int(2.05 * weights) + 50_000 * len(operations)


def computes_in_half_precision(graph: ov.Model) -> bool:
    """Return whether a graph has operations in float16 or bfloat16, besides constants."""
    return any(
        output.get_element_type() in (ov.Type.f16, ov.Type.bf16)
        for operation in graph.get_ops()
        if operation.get_type_name() != "Constant"
        for output in operation.outputs()
    )
