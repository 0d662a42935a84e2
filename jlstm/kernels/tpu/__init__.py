"""The TPU lowering: Pallas kernels, their tile sizes, and the choice of when to use them."""
