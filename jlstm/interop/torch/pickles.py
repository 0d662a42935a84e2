"""Interprets the pickles of torch.save: containers, numbers, texts and tensors, nothing else.

The interpreter takes the few instructions that torch.save writes. It calls no function that a
pickle names: it knows what those for tensors mean. Other objects that checkpoints often hold, such
as sizes and sets, become a `Skipped`.
"""

import io
import struct
from collections.abc import Callable
from typing import Any

from jlstm.interop.torch import objects
from jlstm.interop.torch.objects import Global, RefusedError, Skipped, Storage, Tensor

_MOST = 200_000  # containers; a tensor needs some five
_MOST_TENSORS = 20_000
_LONGEST = 1_000  # characters of a name that is a key
_FIXED = {b"J": "<i", b"K": "<B", b"M": "<H", b"G": ">d"}
_CONSTANTS = {b"N": None, b"\x88": True, b"\x89": False, b")": ()}


def loads(data: bytes, made: Callable[[Tensor], Any], known: Callable[[str], bool]) -> Any:
    """The value of a pickle.

    Args:
      data: the pickle.
      made: makes a tensor of its description.
      known: whether a name such as "torch.Size" is one of torch's plain values and types.

    Raises:
      RefusedError: it names a class or function that is not allowed.
      ValueError, IndexError, KeyError, TypeError, EOFError, struct.error: it is damaged.
    """
    return _Machine(data, made, known).run()


class _Machine:
    """The stack, the marks in it, and the memo of a pickle."""

    def __init__(
        self, data: bytes, made: Callable[[Tensor], Any], known: Callable[[str], bool]
    ) -> None:
        self.file, self.made, self.known = io.BytesIO(data), made, known
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.containers = self.tensors = 0

    def run(self) -> Any:
        read, push = self.file.read, self.stack.append
        while (code := read(1)) != b".":
            if code in _FIXED:
                size = struct.calcsize(_FIXED[code])
                push(struct.unpack(_FIXED[code], self.exactly(size))[0])
            elif code in _CONSTANTS:
                push(_CONSTANTS[code])
            elif code in (b"q", b"r"):
                self.memo[self.number(1 if code == b"q" else 4)] = self.stack[-1]
            elif code in (b"h", b"j"):
                push(self.memo[self.number(1 if code == b"h" else 4)])
            elif code == b"X":
                push(self.exactly(self.number(4)).decode("utf-8", "surrogatepass"))
            elif code == b"U":
                push(self.exactly(self.number(1)))
            elif code == b"\x8a":
                push(int.from_bytes(self.exactly(self.number(1)), "little", signed=True))
            elif code == b"c":
                push(self.named())
            elif code == b"\x80":
                read(1)
            elif code in _BUILDERS:
                _BUILDERS[code](self)
            elif not code:
                raise EOFError("its pickle is cut off")
            else:
                raise ValueError(
                    f"its pickle has the instruction {code[0]}, which torch.save does not write"
                )
        return self.stack.pop()

    def exactly(self, size: int) -> bytes:
        data = self.file.read(size)
        if len(data) < size:
            raise EOFError("its pickle is cut off")
        return data

    def number(self, size: int) -> int:
        return int.from_bytes(self.exactly(size), "little")

    def named(self) -> Global:
        name = ".".join(self.file.readline(200)[:-1].decode() for _ in range(2))
        if objects.is_known(name) or self.known(name):
            return Global(name)
        raise RefusedError(name.replace("__builtin__.", "builtins.", 1))

    def pop(self, count: int = 1) -> list[Any]:
        """The last values, of which none stands below the last mark."""
        at = len(self.stack) - count
        if at < (self.marks[-1] if self.marks else 0):
            raise ValueError("its pickle takes a value where it has none")
        values = self.stack[at:]
        del self.stack[at:]
        return values

    def pop_marked(self) -> list[Any]:
        values = self.pop(len(self.stack) - self.marks[-1])
        self.marks.pop()
        return values

    def count(self) -> None:
        """Counts a container."""
        self.containers += 1
        if self.containers > _MOST:
            raise ValueError(f"it has more than {_MOST} lists and mappings")

    def push(self, container: Any) -> None:
        self.count()
        self.stack.append(container)

    def mark(self) -> None:
        self.count()
        self.marks.append(len(self.stack))

    def extend(self, values: list[Any]) -> None:
        self.last(list).extend(values)

    def last(self, kind: type) -> Any:
        """The last value, which a following instruction changes."""
        if type(self.stack[-1]) is Skipped:
            return kind()
        if type(self.stack[-1]) is not kind:
            raise ValueError(f"its pickle fills a {type(self.stack[-1]).__name__}")
        return self.stack[-1]

    def update(self, pairs: list[Any]) -> None:
        held = self.last(dict)
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            # Keys of few kinds, since hashing nested tuples and large numbers can take very long.
            small = isinstance(key, int) and key.bit_length() < 64
            short = isinstance(key, (str, bytes)) and len(key) <= _LONGEST
            if not (small or short or key is None or isinstance(key, float)):
                plain = isinstance(key, (str, bytes, int))
                shown = f"the key {key!r:.80}" if plain else f"a key of type {type(key).__name__}"
                raise ValueError(
                    f"a mapping in it has {shown}; expected a text of at most {_LONGEST} "
                    "characters, or a number"
                )
            held[key] = value

    def call(self) -> None:
        function, arguments = self.pop(2)
        value = objects.called(function, arguments)
        if isinstance(value, Tensor):
            self.tensors += 1
            if self.tensors > _MOST_TENSORS:
                raise ValueError(f"it has more than {_MOST_TENSORS} tensors")
            value = self.made(value)
        self.push(value)

    def persistent(self) -> None:
        """The data of a tensor: ("storage", type, key, device, length)."""
        word, kind, key, _, size, *_ = self.pop()[0]
        if word not in ("storage", b"storage") or type(key) is not str or type(size) is not int:
            raise ValueError("its pickle refers to other data than that of tensors")
        self.push(Storage(kind.name, key, size))

    def build(self) -> None:
        """Attributes of an object, of which state dicts have those of their layers' versions."""
        self.pop()


def _tuple(count: int | None) -> Callable[[_Machine], None]:
    def made(machine: _Machine) -> None:
        values = machine.pop_marked() if count is None else machine.pop(count)
        machine.push(tuple(values))

    return made


_BUILDERS: dict[bytes, Callable[[_Machine], None]] = {
    b"]": lambda machine: machine.push([]),
    b"}": lambda machine: machine.push({}),
    b"\x8f": lambda machine: machine.push(Skipped("builtins.set")),
    b"(": _Machine.mark,
    b"t": _tuple(None),
    b"\x85": _tuple(1),
    b"\x86": _tuple(2),
    b"\x87": _tuple(3),
    b"a": lambda machine: machine.extend(machine.pop()),
    b"e": lambda machine: machine.extend(machine.pop_marked()),
    b"s": lambda machine: machine.update(machine.pop(2)),
    b"u": lambda machine: machine.update(machine.pop_marked()),
    b"R": _Machine.call,
    b"\x81": _Machine.call,  # of a class, to make an object
    b"Q": _Machine.persistent,
    b"b": _Machine.build,
}
