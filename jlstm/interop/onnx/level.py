"""One layer of a stack in an ONNX graph: an LSTM node, or one for each direction."""

from typing import NamedTuple

import numpy as np

from jlstm.interop.onnx.evaluation import Evaluation
from jlstm.interop.onnx.joining import Joined
from jlstm.interop.onnx.node import Lstm


class Level(NamedTuple):
    """LSTM nodes that make one layer, and their place in the graph.

    - `lstms`: one node, or a forward and a reverse node that read the same value.
    - `below`: the number of the level whose output they read, or None.
    - `root`: the number of the lowest level of the stack.
    - `reads`: how the output of the level below is joined.
    - `cut`: why they do not belong to the stack whose output they read; else empty.
    - `output`: the last value that is the whole output of the layer.
    - `gives`: how that value is joined.
    """

    lstms: tuple[Lstm, ...]
    below: int | None = None
    root: int = 0
    reads: Joined = Joined()
    cut: str = ""
    output: str = ""
    gives: Joined = Joined()

    @property
    def title(self) -> str:
        """The names of its nodes."""
        return " and ".join(lstm.title for lstm in self.lstms)

    @property
    def both(self) -> bool:
        """Whether the layer is bidirectional."""
        return len(self.lstms) == 2 or self.lstms[0].both


def input_of(evaluation: Evaluation, lstm: Lstm) -> np.ndarray | None:
    """What a node reads, [T, B, I]; None if it is not known."""
    array = evaluation.value(lstm.inputs["X"]).array
    if array is None or array.ndim != 3:
        return None
    return array.transpose([lstm.x_axes.index(axis) for axis in "TBF"])


def outputs_of(evaluation: Evaluation, lstms: tuple[Lstm, ...]) -> np.ndarray | None:
    """The outputs [T, B, D, H] of the nodes of a level; None if they are not known."""
    arrays = []
    for lstm in lstms:
        array = evaluation.value(lstm.output).array if lstm.output else None
        if array is None:
            return None
        arrays.append(array.transpose([lstm.y_axes.index(axis) for axis in "TBDH"]))
    if any(array.shape != arrays[0].shape for array in arrays):
        return None
    return np.concatenate(arrays, 2)
