"""Keras 3: its layers, and its .keras and .weights.h5 files, which are read without it."""

from jlstm.interop.keras.conversion import from_keras, to_keras

__all__ = ["from_keras", "to_keras"]
