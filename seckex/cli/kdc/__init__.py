"""``seckex kdc``: the nodes of a key distribution center, on the daemon that runs or without it."""

from seckex.cli.kdc.command import kdc
from seckex.cli.master import master

kdc.add_command(master)

__all__ = ["kdc"]
