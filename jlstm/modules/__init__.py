"""The networks of this library as modules of Flax and Equinox.

They are in `jlstm.modules.linen`, `jlstm.modules.nnx` and `jlstm.modules.equinox`.
"""
