"""Sequences that NumPy draws: the problems of the literature on recurrent networks."""
