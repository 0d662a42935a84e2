"""PyTorch: nn.LSTM and nn.LSTMCell, their state dicts, and files of these."""

from jlstm.interop.torch.conversion import from_torch, to_torch

__all__ = ["from_torch", "to_torch"]
