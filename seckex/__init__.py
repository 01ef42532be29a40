"""seckex: security associations, keys and encrypted dialogs for roaming devices."""

__version__ = "0.1.0"
