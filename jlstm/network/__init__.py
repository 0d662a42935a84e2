"""Networks: one layer over time, spans of time, stacks of layers, units sharded over devices."""
