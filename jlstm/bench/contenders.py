"""Who is measured, and what has to be installed for it."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from jlstm.kernels.choice import IMPLEMENTATIONS


class Contender(NamedTuple):
    """An LSTM to measure.

    Attributes:
      name: what tables call it.
      module: the module with its `prepare`, see `peers`.
      options: keyword arguments of `prepare`.
      install: what pip has to be told for it.
      environment: variables that its process is started with.
      rounding: the coarsest number format it rounds to, a name of agreement.TOLERANCE, if that is
        coarser than the case's dtype: "tfloat32" for products in TensorFloat-32.
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

# The first is what the others have to agree with.
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
