"""Training runs described by TOML files."""
