"""The networks of this library as Flax modules: `jlstm.modules.linen` and `jlstm.modules.nnx`."""
