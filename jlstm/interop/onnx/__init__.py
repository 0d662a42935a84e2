"""ONNX: reads stacks of LSTM nodes, and writes networks as models."""

from jlstm.interop.onnx.conversion import from_onnx, to_onnx

__all__ = ["from_onnx", "to_onnx"]
