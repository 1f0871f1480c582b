"""The models of the stand-in: the configured versions, their loading and unloading, and their labels."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tensorflow as tf
from grpc import StatusCode
from tensorflow_serving.apis import model_pb2, prediction_log_pb2
from tensorflow_serving.apis.get_model_status_pb2 import ModelVersionStatus
from tensorflow_serving.config import model_server_config_pb2

log = logging.getLogger(__name__)

MAX_WARMUP_RECORDS = 1000


class RequestError(Exception):
    """A request that is answered with a gRPC error status."""

    def __init__(self, code: StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass
class Version:
    """One version of a model; `loaded` is the SavedModel while the state is AVAILABLE."""

    number: int
    state: int = ModelVersionStatus.START
    error: str = ""
    loaded: Any = None

    @property
    def is_available(self) -> bool:
        """Whether the version answers requests."""
        return bool(self.state == ModelVersionStatus.AVAILABLE)


@dataclass
class Model:
    """A model with all versions since the start; unloaded versions stay in state END."""

    name: str
    config: model_server_config_pb2.ModelConfig
    labels: dict[str, int] = field(default_factory=dict)
    versions: dict[int, Version] = field(default_factory=dict)

    def selected(self) -> set[int]:
        """Return the versions on disk that the policy selects."""
        base = Path(self.config.base_path)
        on_disk = sorted(int(entry.name) for entry in base.iterdir() if entry.name.isdecimal()) if base.is_dir() else []
        if not on_disk:
            log.warning("No versions of servable %s found under base path %s", self.name, base)
        policy = self.config.model_version_policy
        if policy.HasField("all"):
            return set(on_disk)
        if policy.HasField("specific"):
            return set(on_disk) & set(policy.specific.versions)
        return set(on_disk[-(policy.latest.num_versions or 1) :])


class Models:
    """Follows a configuration and the file system. One thread changes the models; all threads may read."""

    def __init__(self, *, labels_before_versions: bool, hold_loads: Callable[[], bool]) -> None:
        """Start without models.

        Args:
            labels_before_versions: Whether an unused label may be assigned to a version that is not available.
            hold_loads: Returns whether loads have to wait.
        """
        self._labels_before_versions = labels_before_versions
        self._hold_loads = hold_loads
        self._models: dict[str, Model] = {}
        self._lock = threading.RLock()

    def configure(self, config: model_server_config_pb2.ModelServerConfig) -> None:
        """Replace the whole list of models; after an error nothing has changed.

        Raises:
            RequestError: An entry has no name or no base path, or assigns a label to a version that is not available.
        """
        entries = {entry.name: entry for entry in config.model_config_list.config}
        for entry in config.model_config_list.config:
            if not entry.name or not entry.base_path:
                raise RequestError(StatusCode.INVALID_ARGUMENT, "Expected model to have a name and a base path.")
        if len(entries) != len(config.model_config_list.config):
            raise RequestError(StatusCode.INVALID_ARGUMENT, "Illegal to list a model multiple times in config")
        for entry in entries.values():
            self._check_labels(entry)
        with self._lock:
            for name, entry in entries.items():
                model = self._models.setdefault(name, Model(name, entry))
                model.config, model.labels = entry, dict(entry.version_labels)
            for name in self._models.keys() - entries.keys():
                self._models[name].config.Clear()  # selects no versions, so all are unloaded
                self._models[name].labels.clear()

    def _check_labels(self, entry: model_server_config_pb2.ModelConfig) -> None:
        model = self._models.get(entry.name, Model(entry.name, entry))
        for label, number in entry.version_labels.items():
            version = model.versions.get(number)
            unused = model.labels.get(label, number) == number
            if not (version and version.is_available) and not (self._labels_before_versions and unused):
                raise RequestError(
                    StatusCode.FAILED_PRECONDITION,
                    f"Request to assign label to version {number} of model {entry.name}, "
                    "which is not currently available for inference",
                )

    def follow(self) -> None:
        """Load all selected versions, then unload all others, so that the model stays available."""
        for model in list(self._models.values()):
            selected = model.selected() if model.config.base_path else set()
            for number in sorted(selected):
                version = model.versions.get(number)
                if version is None or (version.state == ModelVersionStatus.END and not version.error):
                    self._load(model, number)
            for version in list(model.versions.values()):
                if not version.is_available or version.number in selected:
                    continue
                version.state, version.loaded = ModelVersionStatus.END, None
                log.info("unloaded version %d of %s", version.number, model.name)

    def _load(self, model: Model, number: int) -> None:
        version = Version(number, ModelVersionStatus.LOADING)
        with self._lock:
            model.versions[number] = version
        while self._hold_loads():
            time.sleep(0.01)
        folder = Path(model.config.base_path) / str(number)
        try:
            version.loaded = tf.saved_model.load(str(folder))
            _warm_up(version.loaded, folder)
        except Exception as error:
            log.exception("cannot load version %d of %s", number, model.name)
            version.state, version.error = ModelVersionStatus.END, str(error)
            return
        version.state = ModelVersionStatus.AVAILABLE
        log.info("loaded version %d of %s", number, model.name)

    def find(self, spec: model_pb2.ModelSpec) -> Version:
        """Return the version that a request selects.

        Raises:
            RequestError: The version does not exist or is not available.
        """
        if not spec.name:
            raise RequestError(StatusCode.INVALID_ARGUMENT, "ModelSpec has no name specified.")
        with self._lock:
            model = self._models.get(spec.name)
            number: int | None = None
            if spec.WhichOneof("version_choice") == "version_label":
                if model is None or spec.version_label not in model.labels:
                    raise RequestError(
                        StatusCode.INVALID_ARGUMENT, f"Unrecognized servable version label: {spec.version_label}"
                    )
                number = model.labels[spec.version_label]
            elif spec.WhichOneof("version_choice") == "version":
                number = spec.version.value
            candidates = [
                version
                for version in (model.versions.values() if model else ())
                if version.is_available and number in (None, version.number)
            ]
        if not candidates:
            request = f"Latest({spec.name})" if number is None else f"Specific({spec.name}, {number})"
            raise RequestError(StatusCode.NOT_FOUND, f"Servable not found for request: {request}")
        return max(candidates, key=lambda version: version.number)

    def statuses(self, spec: model_pb2.ModelSpec) -> list[Version]:
        """Return all versions of a model, newest first, or the selected version. A label is ignored.

        Raises:
            RequestError: The model has no versions, or not the selected version.
        """
        if not spec.name:
            raise RequestError(StatusCode.INVALID_ARGUMENT, "ModelSpec has no name specified.")
        with self._lock:
            model = self._models.get(spec.name)
            versions = sorted(model.versions.values(), key=lambda version: -version.number) if model else []
        if spec.WhichOneof("version_choice") == "version":
            versions = [version for version in versions if version.number == spec.version.value]
            missing = f"version {spec.version.value}"
        else:
            missing = "any versions"
        if not versions:
            raise RequestError(StatusCode.NOT_FOUND, f"Could not find {missing} of model {spec.name}")
        return versions


def _warm_up(loaded: Any, folder: Path) -> None:
    """Replay the warm-up requests of a version. A failed request fails the load."""
    path = folder / "assets.extra" / "tf_serving_warmup_requests"
    if not path.exists():
        return
    for number, record in enumerate(tf.data.TFRecordDataset(str(path)).as_numpy_iterator()):
        if number >= MAX_WARMUP_RECORDS:
            raise ValueError(f"Number of warmup records exceeds the maximum ({MAX_WARMUP_RECORDS})")
        request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
        inputs = {name: tf.constant(tf.make_ndarray(value)) for name, value in request.inputs.items()}
        loaded.signatures[request.model_spec.signature_name or "serving_default"](**inputs)
