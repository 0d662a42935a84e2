"""Reports on recorded measurements: Markdown and pictures."""
