"""Calls of the compiled kernels in a program for CPU, and the library that holds them."""
