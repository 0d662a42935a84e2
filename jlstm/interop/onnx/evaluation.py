"""The values of an ONNX graph, computed from random inputs for one choice of its free sizes.

Two values that agree for random numbers are the same function of the model's inputs. So the numbers
say what a chain of nodes does, whichever operators it consists of.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jlstm.interop.onnx.constants import Constants
from jlstm.interop.onnx.generality import CONSTANT, OF_NUMBERS, OF_SIZES
from jlstm.interop.onnx.node import Lstm, shown
from jlstm.interop.onnx.operators import Operators, bytes_of, random
from jlstm.interop.onnx.sizes import Sizes

_STANDARD = ("", "ai.onnx")  # the domains of the standard operators
_LITTLE, _TIMES = 12 << 20, 8  # bytes of values, at least, and as a multiple of the model's arrays
_MOST_NODES = 5_000  # that are run, some 0.3 ms each
_MOST_NAMED = 3  # operators and LSTMs that a value lists


class Value(NamedTuple):
    """What is known of one value of the graph.

    `array` is None where its shape is not known. `depends` is CONSTANT, OF_SIZES (of the inputs
    only) or OF_NUMBERS. `computed` says whether its node computed the numbers from those of its
    inputs. Otherwise they are random, as those of an input of the model.
    `sources` are the numbers of the LSTMs whose outputs it comes from, the last one first, and
    `path` the operators between that LSTM and the value.
    """

    array: np.ndarray | None
    depends: int = OF_NUMBERS
    computed: bool = True
    sources: tuple[int, ...] = ()
    path: tuple[str, ...] = ()


class Evaluation:
    """Computes values when they are asked for.

    Args:
      nodes: the nodes of the graph, in topological order.
      constants: its initializers.
      lstms: by the number of its node, the number of each LSTM and the LSTM.
      operators: runs the other nodes.
      sizes: the sizes of the inputs.
      shared: values that depend on nothing, by name; all evaluations of a graph share one dict.
    """

    def __init__(
        self,
        nodes: Sequence[Any],
        constants: Constants,
        lstms: Mapping[int, tuple[int, Lstm]],
        operators: Operators,
        sizes: Sizes,
        shared: dict[str, Value],
    ) -> None:
        self._nodes, self._constants, self._lstms = nodes, constants, lstms
        self._operators, self._sizes, self._shared = operators, sizes, shared
        self._makers = {
            name: number for number, node in enumerate(nodes) for name in node.output if name
        }
        self._values: dict[str, Value] = {}
        self._draw = np.random.default_rng(0)
        self._taken = self._ran = 0

    def value(self, name: str) -> Value:
        """The value called `name`.

        Raises:
          ValueError: an array that it needs cannot be read.
        """
        waiting = [name]
        while waiting:
            last = waiting[-1]
            if last in self._values or last in self._shared:
                waiting.pop()
                continue
            maker = None if last in self._constants else self._makers.get(last)
            if maker is None:
                self._store(last, self._leaf(last))
                continue
            needs = self._needs(maker)
            missing = [n for n in needs if n not in self._values and n not in self._shared]
            if missing:
                waiting += missing
            else:
                self._run(maker)
        return self._found(name)

    def _found(self, name: str) -> Value:
        return self._values[name] if name in self._values else self._shared[name]

    def _store(self, name: str, value: Value) -> None:
        (self._shared if value.depends == CONSTANT else self._values)[name] = value

    def _needs(self, maker: int) -> list[str]:
        """The inputs of a node that its outputs are computed from. An LSTM's is its X."""
        node = self._nodes[maker]
        return [name for name in (node.input[:1] if maker in self._lstms else node.input) if name]

    def _leaf(self, name: str) -> Value:
        """A constant, or an input of the model."""
        if name in self._constants:
            return Value(self._constants.array(name), CONSTANT)
        shape = self._sizes.shape(name)
        return Value(None if shape is None else self._drawn(*shape))

    def _run(self, maker: int) -> None:
        """Stores the outputs of a node."""
        node = self._nodes[maker]
        if maker in self._lstms:
            self._run_lstm(*self._lstms[maker], node)
            return
        given = [self._found(name) if name else None for name in node.input]
        read = [value for value in given if value]
        arrays = [value.array if value else None for value in given]
        last = max((value for value in read if value.sources), key=_newest, default=None)
        depends = max((value.depends for value in read), default=CONSTANT)
        results: list[np.ndarray | None] = [None] * len(node.output)
        computed = False
        self._ran += 1
        if node.domain in _STANDARD and self._ran <= _MOST_NODES:
            if node.op_type in ("Shape", "Size"):
                depends = min(depends, OF_SIZES)
            results, computed = self._operators.run(node, arrays, depends, self._left(), self._draw)
        if not computed:
            depends = OF_NUMBERS
        sources = tuple(sorted({n for v in read for n in v.sources}, reverse=True))[:_MOST_NAMED]
        path = (*(last.path if last else ()), shown(node.op_type))[:_MOST_NAMED] if last else ()
        if depends == OF_SIZES:
            sources, path = (), ()
        for name, array in zip(node.output, results, strict=True):
            if name:
                if not any(a is not None and np.may_share_memory(array, a) for a in arrays):
                    self._counted(array)
                self._store(name, Value(array, depends, computed, sources, path))

    def _run_lstm(self, number: int, lstm: Lstm, node: Any) -> None:
        """Stores random outputs of an LSTM, which fit the array that it reads."""
        inputs, units, dtype = lstm.sizes
        lead = 2 if lstm.both else 1
        read = self._read(node.input[0], lstm, inputs, 8 * lead * (units or 0) * dtype.itemsize)
        shapes: list[tuple[int, ...]] = []
        if read is not None and units is not None and inputs in (None, read.shape[2]):
            first, second = read.shape[:2]
            if lstm.batch_first:
                shapes = [(first, second, lead, units), *[(first, lead, units)] * 2]
            else:
                shapes = [(first, lead, second, units), *[(lead, second, units)] * 2]
        for n, (output, state) in enumerate(zip(node.output, ("", "Y_h", "Y_c"), strict=False)):
            if output:
                array = self._drawn(shapes[n], dtype) if shapes else None
                path = (state,) if state else ()
                self._store(output, Value(array, sources=(number,), path=path))

    def _read(self, name: str, lstm: Lstm, inputs: int | None, each: int) -> np.ndarray | None:
        """The array of three axes that an LSTM reads, whose outputs need `each` bytes a row.

        If its shape is not known, if it is too large, or if its last axis is free and was given
        another size than the LSTM has, random numbers of a fitting shape take its place.
        """
        read = self._found(name)
        steps, batch = self._sizes.steps_and_batch
        lead = (batch, steps) if lstm.batch_first else (steps, batch)
        if read.array is not None:
            if read.array.ndim != 3:
                return None
            fits = inputs in (None, read.array.shape[2]) or bool(read.sources)
            if each * read.array.shape[0] * read.array.shape[1] <= self._left():
                if fits:
                    return read.array
                lead = read.array.shape[:2]
        made = None if inputs is None else self._drawn((*lead, inputs), lstm.sizes[2])
        self._shared.pop(name, None)
        self._store(name, read._replace(array=made, depends=OF_NUMBERS, computed=False))
        return made

    def _left(self) -> int:
        """The bytes that further values may take."""
        return max(_LITTLE, _TIMES * self._constants.size) - self._taken

    def _drawn(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray | None:
        """Random numbers; None if they would take too much memory."""
        if bytes_of(shape, dtype) > self._left():
            return None
        return self._counted(random(self._draw, shape, dtype))

    def _counted(self, array: np.ndarray | None) -> np.ndarray | None:
        """The array, whose bytes are taken from what values may take."""
        if array is not None:
            self._taken += array.nbytes
        return array


def _newest(value: Value) -> int:
    return value.sources[0]
