"""``seckex accounting``: what traffic through agents amounted to, and whether both ends say the same."""

from seckex.cli.accounting.command import accounting

__all__ = ["accounting"]
