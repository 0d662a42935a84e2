"""Measurements of this library beside other LSTMs."""
