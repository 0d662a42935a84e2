"""Training runs that TOML files describe."""
