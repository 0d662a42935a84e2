"""Data sets: sequences to train, to choose and to test with, and what their numbers mean."""
