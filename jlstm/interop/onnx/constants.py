"""The arrays that an ONNX model holds, read when they are asked for."""

import os
from typing import Any

import numpy as np

from jlstm.interop import needs

_PLAIN = {"value_int": "int64", "value_ints": "int64"}
_PLAIN |= {"value_float": "float32", "value_floats": "float32"}
# Weights that LSTMs share stand for more than is there: a little, or some times as much.
_LITTLE, _TIMES = 1 << 26, 8


class Constants:
    """A model's constants by name.

    Args:
      tensors: the initializers of its graph.
      large: the bytes of those whose data is left out there.
      folder: where the files lie that hold the data of others; None if that is not known.

    Raises:
      ValueError: two of one name.
    """

    def __init__(self, tensors: Any, large: dict[str, np.ndarray], folder: str | None) -> None:
        self._onnx, self._large, self._folder = needs.module("onnx"), large, folder
        self._found: dict[str, Any] = {}
        self._read: dict[int, np.ndarray] = {}  # by the id of what stands in _found
        self._files: dict[str, int] = {}  # sizes of the files that were read from
        self._loaded = 0  # bytes that were
        for tensor in tensors:
            if tensor.name in self._found:
                raise ValueError(f"the model has two arrays {tensor.name!r:.80}; expected one")
            self._found[tensor.name] = tensor

    def __contains__(self, name: str) -> bool:
        return name in self._found

    def has(self, names: Any) -> bool:
        """Whether these are the names of constants, of one at least."""
        return bool(names) and all(name in self._found for name in names)

    def add(self, name: str, attributes: dict[str, tuple[str, Any]]) -> None:
        """The output of a Constant node with those attributes, if it is a dense array."""
        for key, (_, value) in attributes.items():
            if key == "value" and isinstance(value, self._onnx.TensorProto):
                self._found[name] = value
            elif key in _PLAIN:
                self._found[name] = np.array(value, _PLAIN[key])

    def alias(self, name: str, other: str) -> None:
        """A second name of a constant."""
        self._found[name] = self._found[other]
        if other in self._large:
            self._large[name] = self._large[other]

    def type_of(self, name: str) -> int:
        """The number that onnx has for its number format, 0 if there is none."""
        return getattr(self._found.get(name), "data_type", 0)

    def array(self, name: str) -> np.ndarray | None:
        """The array of that name, or None if the model computes it or is given it.

        Raises:
          ValueError: its data is not there, or not what it says.
        """
        found = self._found.get(name)
        if found is None or isinstance(found, np.ndarray):
            return found
        if id(found) in self._read:
            return self._read[id(found)]
        try:
            return self._read.setdefault(id(found), self._array(name, found))
        except OSError as error:
            reason: Any = error.strerror or error
        except (ValueError, TypeError, self._onnx.checker.ValidationError) as error:
            reason = error
        raise ValueError(f"the array {name!r:.80} cannot be read: {reason}")

    def require_held(self, size: int) -> None:
        """ValueError where weights of `size` bytes are much more than the arrays that were read.

        A small file would stand for much memory, did hundreds of LSTMs have the same weights.
        """
        held = sum(array.nbytes for array in self._read.values()) - self._loaded
        held += sum(self._files.values())
        if size > max(_LITTLE, _TIMES * held):
            raise ValueError(
                f"the model's LSTMs have weights of {size} bytes, but share arrays of {held}; "
                f"expected at most {_TIMES} times as much: give LSTMs arrays of their own"
            )

    def _array(self, name: str, tensor: Any) -> np.ndarray:
        types, shape = self._onnx.helper.get_all_tensor_dtypes(), tuple(tensor.dims)
        if tensor.data_type not in types or tensor.data_type == self._onnx.TensorProto.UNDEFINED:
            raise ValueError(f"its number format is {tensor.data_type}, which ONNX does not have")
        if any(extent < 0 for extent in shape):
            raise ValueError(f"its shape is {list(shape)[:9]}; expected no extent below 0")
        dtype = np.dtype(self._onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type))
        size = dtype.itemsize
        for extent in shape:
            size *= extent
        if name in self._large:
            data = self._large[name]
            if size != len(data):
                raise ValueError(f"it has shape {list(shape)[:9]}, but {len(data)} bytes")
            return data.view(dtype).reshape(shape)
        if self._onnx.external_data_helper.uses_external_data(tensor):
            self._load(tensor, size)
        return self._onnx.numpy_helper.to_array(tensor)

    def _load(self, tensor: Any, size: int) -> None:
        """Takes a tensor's data out of the file that it names."""
        if self._folder is None:
            raise ValueError(
                "it lies in a file; give the model's path, or a model that onnx.load has read"
            )
        lengths = [entry.value for entry in tensor.external_data if entry.key == "length"]
        if not lengths:
            tensor.external_data.add(key="length", value=str(size))
        elif lengths != [str(size)]:
            raise ValueError(
                f"it takes {size} bytes, but its file is said to hold {lengths[0]!r:.80}"
            )
        for entry in tensor.external_data:
            if entry.key == "location":
                path = os.path.join(self._folder, entry.value)
                self._files[entry.value] = os.path.getsize(path)
        self.require_held(self._loaded + size)
        self._loaded += size
        self._onnx.external_data_helper.load_external_data_for_tensor(tensor, self._folder)
