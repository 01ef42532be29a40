"""Bytes to frozen values and back; no keys, no I/O."""
