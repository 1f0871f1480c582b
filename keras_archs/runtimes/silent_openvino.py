"""OpenVINO, imported without its telemetry: `from keras_archs.runtimes.silent_openvino import ov`.

At import, OpenVINO's package for telemetry writes files into the user's home, starts threads and looks up an analytics
host, unless a file in the home forbids it. It offers no switch to programs. OpenVINO works without the package, so the
package cannot be found during the import. A program that has imported OpenVINO itself before has decided for itself.
"""

import sys

_TELEMETRY = "openvino_telemetry"

_hides = _TELEMETRY not in sys.modules
if _hides:
    sys.modules[_TELEMETRY] = None  # type: ignore[assignment]  # Python's way to say that an import has to fail
try:
    import openvino as ov
finally:
    if _hides:
        del sys.modules[_TELEMETRY]

__all__ = ["ov"]
