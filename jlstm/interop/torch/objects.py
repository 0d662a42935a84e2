"""What the pickles of torch.save name: tensors, their data and parameters. Nothing is called."""

from typing import Any, NamedTuple

_MOST_AXES = 8
_STORAGE = "torch.storage.UntypedStorage"
_REBUILD = "torch._utils._rebuild_"
_DICT = "collections.OrderedDict"
# What else torch reads with weights_only=True.
_KNOWN = {"collections.Counter", "_codecs.encode", "torch.serialization._get_layout"}
_KNOWN |= {f"{m}.{n}" for m in ("builtins", "__builtin__") for n in ("bytearray", "set", "complex")}
_SKIPPED = ("qtensor", "sparse_tensor", "meta_tensor_no_storage", "nested_tensor")
_SKIPPED += ("wrapper_subclass", "device_tensor_from_numpy", "device_tensor_from_cpu_tensor")
_KNOWN |= {_REBUILD + name for name in _SKIPPED}
_TENSORS = {_REBUILD + f"tensor{form}" for form in ("", "_v2", "_v3")}
_PARAMETERS = {_REBUILD + f"parameter{form}" for form in ("", "_with_state")}
_TYPED = "torch._tensor._rebuild_from_type_v2"
_KNOWN |= {_STORAGE, _DICT, _TYPED} | _TENSORS | _PARAMETERS


class Global(NamedTuple):
    """A class or function that the pickle names."""

    name: str


class Skipped(NamedTuple):
    """An object that is no part of a state dict. Only its class or function is known."""

    name: str


class Storage(NamedTuple):
    """The data of tensors: its type, such as "torch.FloatStorage", its entry and its length."""

    kind: str
    key: str
    size: int


class Tensor(NamedTuple):
    """A tensor as it is stored. `dtype` is "torch.float32", or "" for that of the storage."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: str


class RefusedError(ValueError):
    """The pickle names something else. The argument is its full name."""


def is_known(name: str) -> bool:
    """Whether a pickle of a state dict may name that class or function."""
    return name in _KNOWN


def called(function: Any, arguments: Any) -> Any:
    """What a function of torch returns."""
    if not isinstance(function, Global) or type(arguments) is not tuple:
        raise ValueError("its pickle calls something that is not a function")
    name = function.name
    if name == _TYPED and len(arguments) == 4:
        kinds = ("torch.Tensor", "torch.nn.parameter.Parameter")
        if isinstance(arguments[1], Global) and arguments[1].name in kinds:
            return called(arguments[0], arguments[2])
    if name in _PARAMETERS:
        return arguments[0]
    if name in _TENSORS:
        return _tensor(arguments, name.endswith("_v3"))
    if name != _DICT:
        return Skipped(name)
    if arguments:
        raise ValueError("an OrderedDict in it is filled in another way than torch does")
    return {}


def _tensor(arguments: tuple[Any, ...], typed: bool) -> Tensor:
    """A tensor: storage, offset, shape, strides, needs gradients, hooks, dtype, metadata."""
    storage, offset, shape, strides, *others = arguments
    dtype = others[2].name if typed else ""
    metadata = others[3:] if typed else others[2:]
    for sizes in (shape, strides):
        if type(sizes) not in (tuple, list) or len(sizes) > _MOST_AXES:
            raise ValueError(f"a tensor in it has more than {_MOST_AXES} axes, or no shape")
    numbers = [offset, *shape, *strides]
    for n in numbers:
        if type(n) is not int:  # its representation may be endless
            raise ValueError(f"a tensor in it has a size that is a {type(n).__name__}")
        if not 0 <= n < 1 << 62:
            raise ValueError(f"a tensor in it has the size {n!r:.80}")
    if len(shape) != len(strides) or type(storage) is not Storage or any(metadata):
        raise ValueError("a tensor in it is not described as torch does")
    return Tensor(storage, offset, tuple(shape), tuple(strides), dtype)
