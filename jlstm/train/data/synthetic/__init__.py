"""Data sets that are computed from a seed: problems of the literature on recurrent networks."""
