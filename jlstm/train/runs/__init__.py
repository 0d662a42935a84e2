"""What a training run keeps in its folder, shows and survives. Any pytree serves as its state."""
