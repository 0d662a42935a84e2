"""Pallas kernels for TPU, what fits into a core, and how programs get them."""
