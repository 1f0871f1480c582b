"""Training on several devices and machines, with Keras' JAX backend.

Each process trains on its share of the images of each step, and on each of its devices on a part of the share. The
gradients and the statistics of batch normalisation are those of all images of the step, so that the result is that of
one process with the same batch. `fine_tune` does the rest of the work the same way in all processes; where the result
can depend on the process (clocks, signals, files), the value of process 0 counts.
"""

from __future__ import annotations

import atexit
import os
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from keras_archs.analysis.extras import import_extra
from keras_archs.training.tuning.meeting import JOIN_SECONDS, Address, Meeting, meet

if TYPE_CHECKING:
    import keras

T = TypeVar("T")

TRY_AGAIN: Final = 75
"""Exit status of a process that ends because another one is gone: EX_TEMPFAIL of sysexits.h."""

_FAILED: Final = 1
_HEARTBEAT_SECONDS: Final = 60
"""Time after which JAX ends the processes if a machine no longer answers; `meeting` notices it before."""

_SHUTDOWN_SECONDS: Final = 30


@dataclass(frozen=True)
class Distribution:
    """The processes of a training, and which of them this one is."""

    coordinator: str | None = None
    """Address of process 0 as ``"HOST:PORT"``, which all processes can reach; None for one process."""
    processes: int = 1
    """Number of processes; usually one per machine, which uses all of its devices."""
    process: int = 0
    """Number of this process, from 0."""

    def __post_init__(self) -> None:
        if self.processes < 1:
            raise ValueError(f"the number of processes must be at least 1, got {self.processes}")
        if not 0 <= self.process < self.processes:
            raise ValueError(
                f"the number of this process must be 0 to {self.processes - 1}, because there are {self.processes} "
                f"processes; got {self.process}"
            )
        if self.coordinator is not None:
            Address.parse(self.coordinator)
        elif self.processes > 1:
            raise ValueError("several processes need the address of process 0 as coordinator, HOST:PORT")


class Team:
    """The processes that train together, as `fine_tune` sees them; this class is a process that trains alone."""

    process: int = 0
    """Number of this process."""
    processes: int = 1
    """Number of processes."""
    devices: int = 1
    """Number of devices of all processes."""

    @property
    def is_first(self) -> bool:
        """Whether this is process 0, which alone writes files."""
        return self.process == 0

    def gather(self, value: T) -> list[T]:
        """Return the value of each process; all processes call this at the same point of the program.

        Args:
            value: Anything that JSON can hold.
        """
        return [value]

    def share(self, value: T) -> T:
        """Return the value of process 0; all processes call this at the same point of the program."""
        return self.gather(value)[0]

    def any(self, value: bool) -> bool:
        """Return whether the value of some process is true; all call this at the same point of the program."""
        return any(self.gather(value))

    def check_same(self, name: str, value: Any) -> None:
        """Check that a value is the same in all processes; all call this at the same point of the program.

        Raises:
            ValueError: If it is not, in all processes.
        """
        values = self.gather(value)
        for process, theirs in enumerate(values):
            if theirs != values[0]:
                raise ValueError(
                    f"{name} must be the same for all processes; for process 0 it is {values[0]}, for process "
                    f"{process} it is {theirs}"
                )

    def check_batch(self, batch: int) -> None:
        """Check that each device gets the same number of the images of a step.

        Raises:
            ValueError: If the number of images is not a multiple of the number of devices.
        """
        if batch % self.devices:
            less, more = batch - batch % self.devices, batch + self.devices - batch % self.devices
            raise ValueError(
                f"the batch must be a multiple of the {self.devices} devices, got {batch}: take "
                f"{f'{less} or ' if less else ''}{more}"
            )

    def scope(self) -> AbstractContextManager[None]:
        """Return a context in which Keras creates variables on all devices, and trains with all of them."""
        return nullcontext()

    def spread(self, model: keras.Model) -> keras.Model:
        """Return a copy of a network on all devices, with the variables of process 0; alone, the network itself.

        Seeds of dropout and of stochastic depth are variables, too.
        """
        return model

    def predict(self, model: keras.Model, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the answers [B, K] of a network that was spread, the same in all processes.

        Args:
            model: The network.
            images: [B, H, W, C], the same in all processes; B is a multiple of the number of devices.
        """
        answers: NDArray[np.float32] = model.predict_on_batch(images)
        return answers


ALONE: Final = Team()
"""A process that trains alone, on one device."""


@contextmanager
def distributed(
    distribution: Distribution, facts: Mapping[str, str] | None = None, *, wait: float = JOIN_SECONDS
) -> Iterator[Team]:
    """Connect the processes of a training for the time of the context.

    The context has to begin before JAX computes something. If a process is gone, the others end at once, with exit
    status 75 and a message: JAX has no other way to go on. Start all processes again; with the same folder of
    checkpoints, which all have to see, the training goes on from the last one.

    Example:
        ::

            # KERAS_BACKEND=jax, in each process with its own number
            with distributed(Distribution("trainer-0:7000", processes=2, process=0)) as team:
                tuned = fine_tune(data, checkpoints=Path("/shared/checkpoints"), team=team)
            if team.is_first:
                tuned.model.save("flowers.keras")

    Args:
        distribution: The processes. With one process, the context uses all devices of the machine.
        facts: What has to be the same for all processes besides the versions of Keras, JAX and this package, by name.
        wait: Seconds to wait until all processes have come.

    Raises:
        ModuleNotFoundError: JAX is not installed.
        ValueError: Keras' backend is not JAX, or the processes were not started with the same settings.
        OSError: The processes did not find each other in time, or the coordinator's port is taken.
    """
    jax = import_extra("jax", "train-jax")
    import keras

    if keras.backend.backend() != "jax":
        raise ValueError(
            f"several devices need Keras' JAX backend, and the backend is {keras.backend.backend()}: set the "
            "environment variable KERAS_BACKEND=jax"
        )
    if distribution.processes == 1:
        yield _Distributed(0, 1, None)
        return
    address = Address.parse(distribution.coordinator or "")
    versions = {f"version of {name}": version(name) for name in ("keras-archs", "keras", "jax")}
    meeting = meet(
        address,
        distribution.process,
        distribution.processes,
        versions | dict(facts or {}),
        on_lost=_end_process,
        wait=wait,
    )
    try:
        _initialize(jax, address, meeting)
        team = _Distributed(distribution.process, distribution.processes, meeting)
        team.check_same("the number of devices of a process", jax.local_device_count())
        yield team
        meeting.gather(None)  # otherwise the first that ends would wait for the others in JAX, with a time limit
        jax.distributed.shutdown()
        meeting.end()
    except BaseException as error:
        if isinstance(error, jax.errors.JaxRuntimeError) or "Gloo" in str(error):
            meeting.wait_for_loss()  # the likely cause, which ends this process with a clearer message
        meeting.fail(f"process {distribution.process} has ended: {_in_words(error)}")
        atexit.register(_exit_without_waiting)
        raise


def _initialize(jax: Any, address: Address, meeting: Meeting) -> None:
    """Let JAX connect the processes: its service in process 0 gets a port of its own."""
    port = meeting.gather(_free_port(address) if meeting.process == 0 else None)[0]
    # `Interruption` takes note of SIGTERM; JAX's own handler would let nobody know
    jax.config.update("jax_enable_preemption_service", False)
    jax.distributed.initialize(
        str(address._replace(port=port)),
        meeting.processes,
        meeting.process,
        cluster_detection_method="deactivate",
        initialization_timeout=int(JOIN_SECONDS),
        heartbeat_timeout_seconds=_HEARTBEAT_SECONDS,
        shutdown_timeout_seconds=_SHUTDOWN_SECONDS,
        coordinator_bind_address=str(address._replace(port=port)) if address.is_loopback else None,
    )


def _free_port(address: Address) -> int:
    with socket.create_server((address.host if address.is_loopback and ":" not in address.host else "", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def _end_process(what: str) -> None:
    print(  # noqa: T201  # the last words of a process that cannot raise an error in its main thread
        f"error: {what}, so this process ends, too. Start all processes again: the training goes on from its last "
        "checkpoint",
        file=sys.stderr,
        flush=True,
    )
    os._exit(TRY_AGAIN)


def _exit_without_waiting() -> None:
    """End the process without JAX's farewell, which would wait for processes that have ended."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(_FAILED)


def _in_words(error: BaseException) -> str:
    lines = str(error).splitlines()
    return lines[0] if lines else type(error).__name__


class _Distributed(Team):
    """Processes with the devices of all of them."""

    def __init__(self, process: int, processes: int, meeting: Meeting | None) -> None:
        import keras

        self.process = process
        self.processes = processes
        self._meeting = meeting
        devices = keras.distribution.list_devices()
        self.devices = len(devices)
        self._parallel = keras.distribution.DataParallel(devices=devices, auto_shard_dataset=False)
        self._predicting: tuple[keras.Model, Any] | None = None

    def gather(self, value: T) -> list[T]:
        return self._meeting.gather(value) if self._meeting else [value]

    def scope(self) -> AbstractContextManager[None]:
        scope: AbstractContextManager[None] = self._parallel.scope()
        return scope

    def spread(self, model: keras.Model) -> keras.Model:
        import keras
        from jax.experimental import multihost_utils

        values = multihost_utils.broadcast_one_to_all([_value(variable) for variable in model.variables])
        keras.utils.set_random_seed(0)  # JAX compares new variables: their first values must be the same everywhere
        with self.scope():
            copy = keras.models.clone_model(model)
            for variable, value in zip(copy.variables, values, strict=True):
                variable.assign(value)
        return copy

    def predict(self, model: keras.Model, images: NDArray[np.float32]) -> NDArray[np.float32]:
        import jax

        share = len(images) // self.processes
        layout = self._parallel.get_data_layout(images.shape).backend_layout
        rows = jax.make_array_from_process_local_data(layout, images[self.process * share : (self.process + 1) * share])
        if self._predicting is None or self._predicting[0] is not model:
            everywhere = jax.sharding.NamedSharding(layout.mesh, jax.sharding.PartitionSpec())

            def answers(trainable: list[Any], other: list[Any], images: Any) -> Any:
                return model.stateless_call(trainable, other, images, training=False)[0]

            self._predicting = model, jax.jit(answers, out_shardings=everywhere)
        trainable, other = (
            [variable.value for variable in variables]
            for variables in (model.trainable_variables, model.non_trainable_variables)
        )
        return np.asarray(self._predicting[1](trainable, other, rows))


def _value(variable: keras.Variable) -> NDArray[Any]:
    return np.asarray(variable.value)
