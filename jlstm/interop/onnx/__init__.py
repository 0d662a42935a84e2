"""ONNX: models whose LSTM nodes stand upon one another, and models made of a network."""

from jlstm.interop.onnx.conversion import from_onnx, to_onnx

__all__ = ["from_onnx", "to_onnx"]
