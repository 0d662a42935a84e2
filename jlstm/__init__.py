"""jlstm: the LSTM for JAX, as pure functions over parameters and a (c, h) carry."""

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
    "Trace",
    "apply",
    "apply_sharded",
    "apply_truncated",
    "conv_lstm",
    "decay_mask",
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
    "register_kernels",
    "save",
    "step",
    "trace",
    "unpack",
]
