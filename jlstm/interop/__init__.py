"""Conversion of LSTM weights from and to other frameworks; one file or folder per framework."""

from jlstm.interop.cudnn import from_cudnn, to_cudnn
from jlstm.interop.equinox import from_equinox, to_equinox
from jlstm.interop.haiku import from_haiku, to_haiku
from jlstm.interop.keras import from_keras, to_keras
from jlstm.interop.linen import from_linen, to_linen
from jlstm.interop.nnx import from_nnx, to_nnx
from jlstm.interop.onnx import from_onnx, to_onnx
from jlstm.interop.report import Report
from jlstm.interop.tensorflow import (
    carry_from_tensorflow,
    carry_to_tensorflow,
    from_tensorflow,
    to_tensorflow,
)
from jlstm.interop.torch import from_torch, to_torch

__all__ = [
    "Report",
    "carry_from_tensorflow",
    "carry_to_tensorflow",
    "from_cudnn",
    "from_equinox",
    "from_haiku",
    "from_keras",
    "from_linen",
    "from_nnx",
    "from_onnx",
    "from_tensorflow",
    "from_torch",
    "to_cudnn",
    "to_equinox",
    "to_haiku",
    "to_keras",
    "to_linen",
    "to_nnx",
    "to_onnx",
    "to_tensorflow",
    "to_torch",
]
