"""What one ONNX node computes from arrays: numbers, or only the shapes of its outputs."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from jlstm.interop import needs
from jlstm.interop.onnx.generality import general, slice_is_general
from jlstm.interop.onnx.node import attributes

# Operators whose numbers are computed: those that move, join or add numbers, those that compute
# sizes, and those that exporters leave between an array and the LSTM that uses it. Of all others
# only the shape is computed; their numbers match nothing. No function with cases is among them,
# such as Max: the larger of a number and 0 is the number itself here, but not for all numbers.
# `general` says where the exceptions are safe.
COMPUTED = {
    *("Identity", "Dropout", "Cast", "CastLike", "Reshape", "Flatten", "Transpose", "Squeeze"),
    *("Unsqueeze", "Slice", "Split", "Gather", "Concat", "Expand", "Tile", "ReverseSequence"),
    *("Add", "Sub", "Mul", "Div", "Neg", "Sum", "Mean", "Where", "Equal"),
    *("ReduceSum", "ReduceMean", "ReduceProd"),
    *("Shape", "Size", "Range", "ConstantOfShape", "DequantizeLinear"),
}
# The oldest version that onnx can run, where older versions compute the same.
_OLDEST = {"DequantizeLinear": 19}
_FEW = 64  # numbers; longer arrays are no shapes


class Result(NamedTuple):
    """The outputs of a node in order, and whether their numbers were computed or are random.

    An array is None where the shape is not known, or where it would be too large.
    """

    arrays: list[np.ndarray | None]
    computed: bool


class Operators:
    """Runs single nodes of a model with given arrays.

    Args:
      opset: the version of the standard operators.
    """

    def __init__(self, opset: int) -> None:
        self._onnx, self._opset = needs.module("onnx"), opset
        self._reference = needs.module("onnx.reference").ReferenceEvaluator
        self._ready: dict[int, Any] = {}  # evaluators by the id of their node

    def run(
        self,
        node: Any,
        given: Sequence[np.ndarray | None],
        depends: int,
        most: int,
        draw: np.random.Generator,
    ) -> Result:
        """The outputs of a standard node.

        Args:
          node: the node, which stays alive and unchanged as long as this object is used.
          given: its inputs in order; None for an input that is left out or not known.
          depends: what they depend on, as in `general`.
          most: the bytes that its outputs may take together.
          draw: makes the numbers of outputs that are not computed.
        """
        shapes = self._shapes(node, given)
        if shapes is None or sum(bytes_of(*shape) for shape in shapes if shape) > most:
            return Result([None] * len(node.output), False)
        if self._computable(node, given):
            arrays = self._computed(node, given)
            if arrays is not None and general(node.op_type, given, arrays[0], depends):
                return Result(arrays, True)
        return Result([shape and random(draw, *shape) for shape in shapes], False)

    def _shapes(
        self, node: Any, given: Sequence[np.ndarray | None]
    ) -> list[tuple[tuple[int, ...], np.dtype] | None] | None:
        """Shape and dtype of each output, None where ONNX cannot infer it; None for no output."""
        onnx = self._onnx
        if any(attribute.HasField("g") for attribute in node.attribute):
            return None
        pairs = [
            (name, a) for name, a in zip(node.input, given, strict=True) if name and a is not None
        ]
        numbers = onnx.helper.np_dtype_to_tensor_dtype
        try:
            schema = onnx.defs.get_schema(node.op_type, self._opset, "")
            found = onnx.shape_inference.infer_node_outputs(
                schema,
                node,
                {
                    n: onnx.helper.make_tensor_type_proto(numbers(a.dtype), a.shape)
                    for n, a in pairs
                },
                {
                    n: onnx.numpy_helper.from_array(a, n)
                    for n, a in pairs
                    if a.ndim < 2 and a.size <= _FEW
                },
                opset_imports=[onnx.helper.make_opsetid("", self._opset)],
            )
        except Exception:  # whatever a malformed node raises: its output is then not known
            return None
        return [self._shape(found.get(name)) for name in node.output]

    def _shape(self, kind: Any) -> tuple[tuple[int, ...], np.dtype] | None:
        """Shape and dtype of a type of ONNX; None unless all sizes are known."""
        if kind is None or not kind.tensor_type.HasField("shape"):
            return None
        sizes = kind.tensor_type.shape.dim
        if not all(size.HasField("dim_value") and size.dim_value >= 0 for size in sizes):
            return None
        try:
            dtype = self._onnx.helper.tensor_dtype_to_np_dtype(kind.tensor_type.elem_type)
        except KeyError:
            return None
        return tuple(size.dim_value for size in sizes), np.dtype(dtype)

    def _computable(self, node: Any, given: Sequence[np.ndarray | None]) -> bool:
        """Whether the node's numbers can be computed, and mean the same for any sizes."""
        if node.op_type not in COMPUTED:
            return False
        if any(name and a is None for name, a in zip(node.input, given, strict=True)):
            return False
        schema = self._onnx.defs.get_schema(node.op_type, self._opset, "")
        try:
            named = attributes(self._onnx, node)
        except ValueError:
            return False
        known = {name: str(a.type).rpartition(".")[2] for name, a in schema.attributes.items()}
        if any(known.get(name) != kind for name, (kind, _) in named.items()):
            return False
        return node.op_type != "Slice" or slice_is_general(named, given)

    def _computed(self, node: Any, given: Sequence[np.ndarray | None]) -> list[Any] | None:
        names = [name for name in node.input if name]
        try:
            if id(node) not in self._ready:
                helper = self._onnx.helper
                values = [
                    [helper.make_value_info(name, self._onnx.TypeProto()) for name in some if name]
                    for some in (dict.fromkeys(names), node.output)
                ]
                graph = helper.make_graph([node], "one", *values)
                opset = max(self._opset, _OLDEST.get(node.op_type, 0))
                self._ready[id(node)] = self._reference(graph, opsets={"": opset})
            arrays = [a for a in given if a is not None]
            made = self._ready[id(node)].run(None, dict(zip(names, arrays, strict=True)))
        except Exception:  # whatever a malformed node raises: its output is then not computed
            return None
        by_name = dict(zip([name for name in node.output if name], made, strict=True))
        return [np.asarray(by_name[name]) if name else None for name in node.output]


def random(draw: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray | None:
    """An array of random numbers from 0.5 to 1.5; small whole numbers for whole dtypes."""
    if dtype.kind == "b":
        return draw.random(shape) < 0.5
    if dtype.kind in "iu":
        return draw.integers(1, 100, shape).astype(dtype)
    if dtype.kind not in "fV":  # V: bfloat16 and other extension types
        return None
    made = draw.random(shape, np.float64 if dtype.itemsize == 8 else np.float32)
    made += 0.5
    return made.astype(dtype, copy=False)


def bytes_of(shape: tuple[int, ...], dtype: np.dtype) -> int:
    """The bytes of an array."""
    return dtype.itemsize * math.prod(shape)
