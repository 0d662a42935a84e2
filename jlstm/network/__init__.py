"""Networks: one layer over time, spans of time, layers in a stack, units over devices."""
