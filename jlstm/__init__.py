"""jlstm: the LSTM for JAX, as pure functions over parameters and a (c, h) carry.

`help(jlstm.apply)` describes one function. T is the number of steps, I that of input features.

A network:
  Config  a stack of layers; Config.stack(6, [4, 5]) has layers of 4 and 5 units
  Layer  one layer and its options, which are all variants of the LSTM
  init  random parameters
  apply  runs sequences [T, *batch, I]
  step  runs one step [*batch, I], as for streaming
  initial_carry  the carry that a network starts from
  trace  every gate and state of every layer
  implementations  the implementations that can run a network, and why others cannot

One layer alone:
  lstm  runs sequences
  lstm_cell  runs one step

Long, packed and sharded sequences, and images:
  apply_truncated  truncated backpropagation through time
  apply_sharded  hidden units divided over devices
  pack, unpack  several sequences in one row, and back
  conv_lstm, init_conv_lstm  the ConvLSTM and its parameters

Parameters and files:
  save, load  one .safetensors file
  load_extra, load_notes  further arrays and texts of such a file
  params_from_dict  parameters from a checkpoint of dictionaries
  quantize, dequantize  int8 matrices for inference, and back
  decay_mask  which parameters weight decay applies to
  export  a program that runs with JAX alone
  register_kernels  before loading a compiled executable

Values that these take and return:
  Carry, Params, LayerParams, Norms, Affine, Highway, Quantized, ConvParams  arrays under names
  Trace, LayerTrace, Packed  results of `trace` and `pack`

jlstm.interop converts weights from and to torch, Keras, TensorFlow 1, Flax, Haiku, Equinox, cuDNN
and ONNX. jlstm.modules has modules for Flax. jlstm.train trains.
"""

from jlstm import stopping

with stopping.at_once(stopping.is_command()):
    from jlstm.config import Config, Layer
    from jlstm.convolution import ConvParams, conv_lstm, init_conv_lstm
    from jlstm.files.export import export
    from jlstm.files.models import load, load_extra, load_notes, save
    from jlstm.kernels.choice import implementations
    from jlstm.kernels.registration import register_kernels
    from jlstm.named import params_from_dict
    from jlstm.network.sequence import lstm
    from jlstm.network.sharded import apply_sharded
    from jlstm.network.stack import LayerTrace, Trace, apply, apply_truncated, trace
    from jlstm.network.step import lstm_cell, step
    from jlstm.packing import Packed, pack, unpack
    from jlstm.params import Affine, Carry, Highway, LayerParams, Norms, Params, init, initial_carry
    from jlstm.quantization import dequantize, quantize
    from jlstm.quantized import Quantized
    from jlstm.weight_decay import decay_mask

__version__ = "0.1.0"

__all__ = [
    "Affine",
    "Carry",
    "Config",
    "ConvParams",
    "Highway",
    "Layer",
    "LayerParams",
    "LayerTrace",
    "Norms",
    "Packed",
    "Params",
    "Quantized",
    "Trace",
    "apply",
    "apply_sharded",
    "apply_truncated",
    "conv_lstm",
    "decay_mask",
    "dequantize",
    "export",
    "implementations",
    "init",
    "init_conv_lstm",
    "initial_carry",
    "load",
    "load_extra",
    "load_notes",
    "lstm",
    "lstm_cell",
    "pack",
    "params_from_dict",
    "quantize",
    "register_kernels",
    "save",
    "step",
    "trace",
    "unpack",
]
