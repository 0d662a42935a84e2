"""TensorFlow 1: variables and states of LSTM cells, in memory, checkpoints and .npz files."""

from jlstm.interop.tensorflow.carry import carry_from_tensorflow, carry_to_tensorflow
from jlstm.interop.tensorflow.checkpoint import holds_objects
from jlstm.interop.tensorflow.conversion import from_tensorflow, to_tensorflow

__all__ = [
    "carry_from_tensorflow",
    "carry_to_tensorflow",
    "from_tensorflow",
    "holds_objects",
    "to_tensorflow",
]
