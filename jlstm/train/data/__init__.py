"""Data sets: sequences to train, validate and test with, and what their numbers mean."""
