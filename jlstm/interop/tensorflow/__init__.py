"""TensorFlow 1: variables of LSTM cells, by name, in checkpoints and .npz files; and states."""

from jlstm.interop.tensorflow.carry import carry_from_tensorflow, carry_to_tensorflow
from jlstm.interop.tensorflow.conversion import from_tensorflow, to_tensorflow

__all__ = ["carry_from_tensorflow", "carry_to_tensorflow", "from_tensorflow", "to_tensorflow"]
