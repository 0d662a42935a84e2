"""How operations of JAX are made here: operands, rules for vmap and devices, types of results."""
