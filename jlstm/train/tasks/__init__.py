"""Tasks: what a model predicts, and how well it does."""
