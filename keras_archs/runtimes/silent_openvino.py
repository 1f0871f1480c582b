"""OpenVINO, imported without its telemetry: `from keras_archs.runtimes.silent_openvino import ov`."""

from keras_archs.runtimes.no_telemetry import without_telemetry

with without_telemetry():
    import openvino as ov

__all__ = ["ov"]
