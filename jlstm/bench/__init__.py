"""Benchmarks of this library against other LSTMs."""
