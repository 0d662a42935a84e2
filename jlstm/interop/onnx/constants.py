"""The constant arrays of an ONNX model, read when they are needed."""

import math
import os
from typing import Any

import numpy as np

from jlstm.interop import needs

_PLAIN = {"value_int": "int64", "value_ints": "int64"}
_PLAIN |= {"value_float": "float32", "value_floats": "float32"}
# LSTMs may share arrays, so their weights may be larger than the arrays in the file. Up to _LITTLE
# bytes, or _TIMES the size of the arrays, are accepted.
_LITTLE, _TIMES = 1 << 24, 8


class Constants:
    """A model's constants by name.

    Args:
      tensors: the initializers of its graph.
      large: by name, the bytes of the initializers whose data was left out.
      folder: the folder of the files with external data; None if it is not known.

    Raises:
      ValueError: two initializers have the same name.
    """

    def __init__(self, tensors: Any, large: dict[str, np.ndarray], folder: str | None) -> None:
        self._onnx, self._large, self._folder = needs.module("onnx"), large, folder
        self._found: dict[str, Any] = {}
        self._read: dict[int, np.ndarray] = {}  # by the id of the value in _found
        self._files: dict[str, int] = {}  # sizes of the external files that were read
        self._loaded = 0  # bytes read from external files
        self._size = sum(len(data) for data in large.values())
        for tensor in tensors:
            if tensor.name in self._found:
                raise ValueError(f"the model has two arrays {tensor.name!r:.80}; expected one")
            self._found[tensor.name] = tensor
            self._size += tensor.ByteSize()

    def __contains__(self, name: str) -> bool:
        return name in self._found

    def add(self, name: str, attributes: dict[str, tuple[str, Any]]) -> None:
        """Adds the output of a Constant node with these attributes, if it is a dense array."""
        for key, (_, value) in attributes.items():
            if key == "value" and isinstance(value, self._onnx.TensorProto):
                self._found[name] = value
                self._size += value.ByteSize()
            elif key in _PLAIN:
                self._found[name] = np.array(value, _PLAIN[key])

    @property
    def size(self) -> int:
        """Bytes of the model's arrays, and of the external files that were read."""
        return self._size + sum(self._files.values())

    def kind(self, name: str) -> tuple[tuple[int, ...], np.dtype] | None:
        """Shape and dtype of a constant by the model, without reading its data; None if unknown."""
        found = self._found.get(name)
        if found is None or isinstance(found, np.ndarray):
            return None if found is None else (found.shape, found.dtype)
        if found.data_type not in self._onnx.helper.get_all_tensor_dtypes():
            return None
        return tuple(found.dims), np.dtype(
            self._onnx.helper.tensor_dtype_to_np_dtype(found.data_type)
        )

    def array(self, name: str) -> np.ndarray | None:
        """The constant array `name`, or None if the value is an input or computed by the model.

        Raises:
          ValueError: its data is missing, or does not fit its shape and type.
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
        """ValueError if weights of `size` bytes are much larger than the arrays that were read.

        Otherwise a small file in which hundreds of LSTMs share weights would take much memory.
        """
        held = sum(array.nbytes for array in self._read.values()) - self._loaded
        held += sum(self._files.values())
        if size > max(_LITTLE, _TIMES * held):
            raise ValueError(
                f"the weights of the model's LSTMs take {size} bytes, but the arrays that they "
                f"share take {held}; expected at most {_TIMES} times as much: store a separate "
                "array for each LSTM"
            )

    def _array(self, name: str, tensor: Any) -> np.ndarray:
        types, shape = self._onnx.helper.get_all_tensor_dtypes(), tuple(tensor.dims)
        if tensor.data_type not in types or tensor.data_type == self._onnx.TensorProto.UNDEFINED:
            raise ValueError(f"its data type is {tensor.data_type}, which ONNX does not define")
        if any(extent < 0 for extent in shape):
            raise ValueError(f"its shape is {list(shape)[:9]}; expected no negative size")
        dtype = np.dtype(self._onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type))
        size = dtype.itemsize * math.prod(shape)
        if name in self._large:
            data = self._large[name]
            if size != len(data):
                raise ValueError(
                    f"its shape is {list(shape)[:9]}, but its data has {len(data)} bytes"
                )
            return data.view(dtype).reshape(shape)
        if self._onnx.external_data_helper.uses_external_data(tensor):
            self._load(tensor, size)
        return self._onnx.numpy_helper.to_array(tensor)

    def _load(self, tensor: Any, size: int) -> None:
        """Reads a tensor's data from the external file that it names."""
        if self._folder is None:
            raise ValueError(
                "its data is in another file; pass the model's path, or the result of onnx.load"
            )
        lengths = [entry.value for entry in tensor.external_data if entry.key == "length"]
        if not lengths:
            tensor.external_data.add(key="length", value=str(size))
        elif lengths != [str(size)]:
            raise ValueError(
                f"it has {size} bytes by its shape, but its length entry says {lengths[0]!r:.80}"
            )
        places = [entry.value for entry in tensor.external_data if entry.key == "location"]
        if len(places) != 1:  # its size counts, so it must be that of the file that is read
            raise ValueError(f"it is in {len(places)} files; expected one location")
        self._files[places[0]] = os.path.getsize(os.path.join(self._folder, places[0]))
        self.require_held(self._loaded + size)
        self._loaded += size
        self._onnx.external_data_helper.load_external_data_for_tensor(tensor, self._folder)
