"""PyTorch: nn.LSTM and nn.LSTMCell, their state dicts, and files of state dicts."""

from jlstm.interop.torch.conversion import from_torch, to_torch

__all__ = ["from_torch", "to_torch"]
