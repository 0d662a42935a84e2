"""The contenders, and what each of them needs installed."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from jlstm.kernels.choice import IMPLEMENTATIONS


class Contender(NamedTuple):
    """An LSTM to measure.

    Attributes:
      name: its name in tables.
      module: the module with its `prepare`; see `peers`.
      options: keyword arguments for `prepare`.
      install: the packages to install with pip.
      environment: environment variables of its process.
      rounding: the coarsest format it rounds to, a key of agreement.TOLERANCE, if that is coarser
        than the case's dtype. For example "tfloat32" for products in TensorFloat-32.
    """

    name: str
    module: str
    options: Mapping[str, Any] | None = None
    install: str = ""
    environment: Mapping[str, str] | None = None
    rounding: str = ""


def _peer(name: str, module: str, install: str = "", **rest: Any) -> Contender:
    return Contender(name, f"jlstm.bench.peers.{module}", install=install, **rest)


OURS = tuple(
    _peer(f"jlstm {implementation.name}", "ours", options={"implementation": implementation.name})
    for implementation in IMPLEMENTATIONS
)
_ON_JAX, _ON_TENSORFLOW = {"KERAS_BACKEND": "jax"}, {"KERAS_BACKEND": "tensorflow"}

# The first one is the reference that the others must agree with.
CONTENDERS = (
    *OURS,
    _peer("scan by hand", "scan"),
    _peer("flax linen", "flax_linen", "flax"),
    _peer("flax nnx", "flax_nnx", "flax"),
    _peer("haiku", "haiku", "dm-haiku"),
    _peer("equinox", "equinox", "equinox"),
    _peer("keras on jax", "keras", "keras", environment=_ON_JAX),
    _peer("keras on tf", "keras", "keras tensorflow", environment=_ON_TENSORFLOW),
    _peer("torch", "pytorch", "torch"),
    _peer("torch.compile", "pytorch", "torch", options={"compiled": True}),
    _peer("torch on cuda", "pytorch", "torch", options={"device": "cuda"}),
    _peer("onnxruntime", "onnx", "onnxruntime onnx"),
    _peer("cudnn from jax", "cudnn"),
)
