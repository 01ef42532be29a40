"""The conversations that make keys."""
