"""``seckex kdc``: the nodes of a key distribution center, on the daemon that runs or without it."""

from seckex.cli.kdc import archive, audit, changing, command, enrol, listing
from seckex.cli.kdc.group import kdc
from seckex.cli.master import master

kdc.add_command(master)

__all__ = ["archive", "audit", "changing", "command", "enrol", "kdc", "listing"]
