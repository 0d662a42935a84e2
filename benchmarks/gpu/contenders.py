"""The contenders on a GPU: this library, torch in several dtypes, and Flax."""

from jlstm.bench.cases import Case
from jlstm.bench.contenders import Contender

_PEERS = "jlstm.bench.peers"


def contenders(torch_device: str) -> tuple[Contender, ...]:
    """All contenders. The first that can run a case is its reference.

    float32 products use TensorFloat-32 unless the contender's name says otherwise. That is the
    default of JAX and of torch's cuDNN.

    Args:
      torch_device: "cuda", or "cpu" for a rehearsal.
    """

    def ours(name: str, implementation: str, precision: str | None = None) -> Contender:
        options = {"implementation": implementation, "precision": precision}
        rounding = "" if precision == "highest" else "tfloat32"
        return Contender(name, f"{_PEERS}.ours", options, rounding=rounding)

    def torch(name: str, dtype: str, rounding: str, *, tensor_float: bool = True) -> Contender:
        options = {"device": torch_device, "dtype": dtype, "tensor_float": tensor_float}
        return Contender(name, f"{_PEERS}.pytorch", options, "torch", rounding=rounding)

    return (
        ours("jlstm cudnn float32", "cudnn", "highest"),
        ours("jlstm cudnn", "cudnn"),
        ours("jlstm auto", "auto"),
        ours("jlstm scan", "scan"),
        Contender("flax linen", f"{_PEERS}.flax_linen", install="flax", rounding="tfloat32"),
        torch("torch float32", "float32", "", tensor_float=False),
        torch("torch TF32", "float32", "tfloat32"),
        torch("torch bfloat16", "bfloat16", "bfloat16"),
        torch("torch float16", "float16", "float16"),
    )


def takes_part(contender: Contender, case: Case) -> bool:
    """Whether a contender runs a case.

    Torch, Flax and cuDNN do not support resets. For a case that is not float32, torch is timed only
    in the dtype of the case, and cuDNN through JAX not at all.
    """
    if case.shape.resets and (contender.install or "cudnn" in contender.name):
        return False
    if case.config.dtype == "float32":
        return True
    dtype = (contender.options or {}).get("dtype")
    return dtype in (None, case.config.dtype) and "cudnn" not in contender.name
