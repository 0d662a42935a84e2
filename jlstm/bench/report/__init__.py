"""Markdown and pictures of recorded measurements."""
