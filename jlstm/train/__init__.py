"""Trains networks: tasks, steps, runs that survive, and the commands that use them."""
