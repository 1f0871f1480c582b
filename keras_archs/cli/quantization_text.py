"""What a card says of a version's int8 graph, as lines of text."""

from __future__ import annotations

from keras_archs.repository.quantization import Quantization


def quantization_facts(quantization: Quantization) -> list[tuple[str, str]]:
    """Return titles and texts; a title may be empty, if the text goes on with the one before."""
    agreement, change = quantization.agreement, quantization.accuracy
    accuracy = (
        f"{100 * change.int8:.2f} %, float32 {100 * change.float32:.2f} %, on {change.pictures:,} labelled pictures"
        if change
        else "not measured: no labelled pictures were given"
    )
    return [
        (
            "arithmetic",
            f"int8 in {quantization.int8_layers} of {quantization.layers} layers, from float32 of version "
            f"{quantization.source_version}",
        ),
        (
            "calibrated on",
            f"{quantization.calibration.pictures:,} pictures, fingerprint {quantization.calibration.fingerprint[:16]}",
        ),
        ("agreement", f"{100 * agreement.top1:.2f} % same top class as float32, on {agreement.pictures:,} pictures"),
        (
            "",
            f"largest difference of a probability {agreement.largest_difference:.3f}, mean over pictures "
            f"{agreement.mean_difference:.4f}",
        ),
        ("accuracy", accuracy),
    ]
