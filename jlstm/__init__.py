"""jlstm: the LSTM for JAX, as pure functions over parameters and a (c, h) carry."""

from jlstm.cell import lstm_cell
from jlstm.config import Config, Layer
from jlstm.io import load, save
from jlstm.kernels.choice import implementations
from jlstm.network import LayerTrace, Trace, apply, step, trace
from jlstm.params import Carry, LayerParams, Params, init, initial_carry
from jlstm.sequence import lstm

__all__ = [
    "Carry",
    "Config",
    "Layer",
    "LayerParams",
    "LayerTrace",
    "Params",
    "Trace",
    "apply",
    "implementations",
    "init",
    "initial_carry",
    "load",
    "lstm",
    "lstm_cell",
    "save",
    "step",
    "trace",
]
