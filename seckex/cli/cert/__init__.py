"""``seckex cert``: certificates, made by a small authority, and those that a daemon has."""

from seckex.cli.cert import status
from seckex.cli.cert.command import cert

__all__ = ["cert", "status"]
