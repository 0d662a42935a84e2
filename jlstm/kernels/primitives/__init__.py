"""Definition of JAX primitives: operands, rules for vmap and sharding, types of results."""
