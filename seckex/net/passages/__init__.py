"""Passages over TCP: docs/passages.md at the edge."""
