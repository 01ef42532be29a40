"""``seckex demo``: an initiator and a responder on this machine, really running, and their story told as it happens."""

from seckex.cli.demo.command import demo

__all__ = ["demo"]
