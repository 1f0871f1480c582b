"""Read pickles that hold plain data, without running Python's unpickler.

A pickle is a program for a machine with a stack and a memo, and Python's unpickler lets the program import and call any
function and set any attribute. The machine below has the instructions of protocol 2 that plain data need. The names of
functions are data to it: a caller says which names may occur, and builds the value of each call. Bytes, instructions
and texts are bounded, so that a small file cannot take much time or memory.
"""

import struct
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO, NamedTuple

from keras_archs.weights.errors import CheckpointError

MAX_PROTOCOL = 2
MAX_BYTES = 16_000_000
"""Length of the longest pickle; a state dict takes about 150 bytes per tensor."""
MAX_INSTRUCTIONS = 500_000
"""Instructions of the longest pickle; a state dict takes about 40 per tensor."""
MAX_TEXT = 4096
"""Bytes of the longest text, e.g. the name of a tensor."""

WEIGHTS_ALONE = (
    "save the weights alone, with safetensors.torch.save_file(model.state_dict(), path) "
    "or torch.save(model.state_dict(), path)"
)
"""What to do about a file that holds more than weights."""

Constructor = Callable[[tuple[Any, ...]], Any]
"""Builds the value of a call from its arguments, which may be anything that a pickle can hold."""


class Global(NamedTuple):
    """A function or class that a pickle names; it is not imported."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


def read_pickle(
    file: BinaryIO, constructors: Mapping[Global, Constructor | None], reference: Callable[[Any], Any]
) -> Any:
    """Read one pickle, from the file's position to the end of the pickle.

    Args:
        file: A file that is open for reading.
        constructors: The names that may occur; None for a name that may not be called.
        reference: Builds the value of a persistent reference, i.e. a reference to data outside the pickle.

    Returns:
        None, booleans, numbers, texts, and tuples, lists and dictionaries of them; instances of `Global`, and what
        ``constructors`` and ``reference`` return.

    Raises:
        CheckpointError: If the pickle is damaged, too large, or contains anything else.
    """
    return _Machine(file, constructors, reference).run()


class _Machine:
    """State of the program: the rest of the file, a stack, the marks on the stack, and a memo of values."""

    def __init__(
        self,
        file: BinaryIO,
        constructors: Mapping[Global, Constructor | None],
        reference: Callable[[Any], Any],
    ) -> None:
        self.file, self.constructors, self.reference = file, constructors, reference
        self.left = MAX_BYTES
        self.stack: list[Any] = []
        self.marks: list[int] = []
        """Heights of the stack; no instruction takes a value from below the last mark."""
        self.memo: dict[int, Any] = {}

    def run(self) -> Any:
        for _ in range(MAX_INSTRUCTIONS):
            instruction = self.take(1)
            if instruction == b".":
                return self.pop()
            if instruction in _VALUES:
                self.stack.append(_VALUES[instruction](self))
            elif instruction in _EFFECTS:
                _EFFECTS[instruction](self)
            else:
                raise CheckpointError(f"a pickle has the instruction {instruction!r}, which is not allowed")
        raise CheckpointError(f"a pickle has more than {MAX_INSTRUCTIONS:,} instructions")

    def take(self, count: int) -> bytes:
        """Return the next bytes of the file."""
        self.left -= count
        if self.left < 0:
            raise CheckpointError(f"a pickle is longer than {MAX_BYTES:,} bytes")
        data = self.file.read(count)
        if len(data) != count:
            raise CheckpointError("the file ends within a pickle")
        return data

    def check_protocol(self) -> None:
        protocol = self.integer(1)
        if protocol > MAX_PROTOCOL:
            raise CheckpointError(
                f"a pickle has protocol {protocol}, but Torch's own is {MAX_PROTOCOL}; save it without pickle_protocol"
            )

    def integer(self, count: int, *, signed: bool = False) -> int:
        return int.from_bytes(self.take(count), "little", signed=signed)

    def text(self, count: int) -> str:
        if count > MAX_TEXT:
            raise CheckpointError(f"a pickle has a text of {count:,} bytes, more than {MAX_TEXT:,}")
        try:
            return self.take(count).decode()
        except UnicodeDecodeError as error:
            raise CheckpointError("a pickle has a text that is not UTF-8") from error

    def name(self) -> Global:
        module, name = (self.line() for _ in range(2))
        found = Global(module, name)
        if found not in self.constructors:
            raise CheckpointError(f"refused to load {found}: a checkpoint may contain tensors only; {WEIGHTS_ALONE}")
        return found

    def line(self) -> str:
        line = self.file.readline(MAX_TEXT)
        self.left -= len(line)
        if not line.endswith(b"\n") or not line.isascii():
            raise CheckpointError("a pickle has the name of a function that is damaged or too long")
        text = line[:-1].decode("ascii")
        return text if text.isprintable() else repr(text)

    def pop(self) -> Any:
        return self.pop_many(1)[0]

    def pop_many(self, count: int) -> list[Any]:
        if len(self.stack) - count < (self.marks[-1] if self.marks else 0):
            raise CheckpointError("a pickle takes a value from an empty stack")
        values = self.stack[-count:]
        del self.stack[-count:]
        return values

    def pop_to_mark(self) -> list[Any]:
        if not self.marks:
            raise CheckpointError("a pickle takes values up to a mark that it has not set")
        start = self.marks.pop()
        values = self.stack[start:]
        del self.stack[start:]
        return values

    def recall(self, place: int) -> Any:
        if place not in self.memo:
            raise CheckpointError("a pickle refers to a value that it has not stored")
        return self.memo[place]

    def store(self, place: int) -> None:
        self.memo[place] = value = self.pop()
        self.stack.append(value)

    def call(self) -> Any:
        function, arguments = self.pop_many(2)
        constructor = self.constructors.get(function) if isinstance(function, Global) else None
        if constructor is None or not isinstance(arguments, tuple):
            raise CheckpointError("a pickle calls a value that is not a function")
        return constructor(arguments)

    def append(self, values: list[Any]) -> None:
        target = self.pop()
        if not isinstance(target, list):
            raise CheckpointError("a pickle appends to a value that is not a list")
        target.extend(values)
        self.stack.append(target)

    def set_items(self, items: list[Any]) -> None:
        target = self.pop()
        keys = items[::2]
        # A text is hashed quickly; the hash of nested tuples can take exponential time.
        if not isinstance(target, dict) or len(items) % 2 or not all(isinstance(key, str) for key in keys):
            raise CheckpointError(
                "a pickle sets items that do not belong to a dictionary with texts as keys, "
                f"such as the state of an optimizer; {WEIGHTS_ALONE}"
            )
        before = len(target)
        target.update(zip(keys, items[1::2], strict=True))
        if len(target) != before + len(keys):
            raise CheckpointError("a pickle sets an item of a dictionary twice")
        self.stack.append(target)

    def ignore_attributes(self) -> None:
        """Drop the attributes of a dictionary: Torch stores the versions of a network's modules there."""
        target, attributes = self.pop_many(2)
        if not isinstance(target, dict) or not isinstance(attributes, dict):
            raise CheckpointError("a pickle sets attributes of a value that is not a dictionary")
        self.stack.append(target)


_VALUES: dict[bytes, Callable[[_Machine], Any]] = {
    b"N": lambda _: None,
    b"\x88": lambda _: True,
    b"\x89": lambda _: False,
    b"K": lambda machine: machine.integer(1),
    b"M": lambda machine: machine.integer(2),
    b"J": lambda machine: machine.integer(4, signed=True),
    b"\x8a": lambda machine: machine.integer(machine.integer(1), signed=True),
    b"G": lambda machine: struct.unpack(">d", machine.take(8))[0],
    b"X": lambda machine: machine.text(machine.integer(4)),
    b"U": lambda machine: machine.text(machine.integer(1)),  # the texts of Python 2
    b"T": lambda machine: machine.text(machine.integer(4)),
    b"c": lambda machine: machine.name(),
    b")": lambda _: (),
    b"\x85": lambda machine: tuple(machine.pop_many(1)),
    b"\x86": lambda machine: tuple(machine.pop_many(2)),
    b"\x87": lambda machine: tuple(machine.pop_many(3)),
    b"t": lambda machine: tuple(machine.pop_to_mark()),
    b"]": lambda _: [],
    b"}": lambda _: {},
    b"h": lambda machine: machine.recall(machine.integer(1)),
    b"j": lambda machine: machine.recall(machine.integer(4)),
    b"R": lambda machine: machine.call(),
    b"Q": lambda machine: machine.reference(machine.pop()),
}
"""Instructions that push one value, by their byte."""

_EFFECTS: dict[bytes, Callable[[_Machine], None]] = {
    b"\x80": lambda machine: machine.check_protocol(),
    b"(": lambda machine: machine.marks.append(len(machine.stack)),
    b"q": lambda machine: machine.store(machine.integer(1)),
    b"r": lambda machine: machine.store(machine.integer(4)),
    b"a": lambda machine: machine.append(machine.pop_many(1)),
    b"e": lambda machine: machine.append(machine.pop_to_mark()),
    b"s": lambda machine: machine.set_items(machine.pop_many(2)),
    b"u": lambda machine: machine.set_items(machine.pop_to_mark()),
    b"b": lambda machine: machine.ignore_attributes(),
}
"""All other instructions, by their byte, but for the last one of a pickle."""
