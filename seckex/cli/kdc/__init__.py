"""``seckex kdc``: the nodes of a key distribution center, on the daemon that runs or without it."""

from seckex.cli.kdc.command import kdc

__all__ = ["kdc"]
