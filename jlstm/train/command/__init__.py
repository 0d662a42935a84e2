"""The commands that train models and use trained ones."""
