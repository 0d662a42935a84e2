"""Keras: its layers and models, and its files, which are read without Keras."""

from jlstm.interop.keras.conversion import from_keras, to_keras

__all__ = ["from_keras", "to_keras"]
