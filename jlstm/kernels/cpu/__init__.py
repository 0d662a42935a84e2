"""The CPU lowering: foreign calls of the compiled kernels, and the library that contains them."""
