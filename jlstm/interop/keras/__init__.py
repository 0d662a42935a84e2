"""Keras 3: its layers, and .keras and .weights.h5 files, which are read without Keras."""

from jlstm.interop.keras.conversion import from_keras, to_keras

__all__ = ["from_keras", "to_keras"]
