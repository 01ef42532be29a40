"""The command that ``amp_server.py`` answers and ``amp_client.py`` calls."""

from twisted.protocols.amp import Command, Integer, ListOf


class Sum(Command):
    """Adds numbers up."""

    arguments = ((b"numbers", ListOf(Integer())),)
    response = ((b"total", Integer()),)
