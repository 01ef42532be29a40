"""Messages for a program whose principal runs within it, on its reactor (docs/programs.md)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred

from seckex.config.load import read_settings
from seckex.errors import SeckexError
from seckex.net.daemon import Daemon
from seckex.net.delivery.messages import MessagesAtEdge
from seckex.net.inprocess import PrincipalFailed, Tenancy, hire_initiator, hire_responder


def open_messages(reactor: Any, file: str | Path) -> Deferred[MessagesAtEdge]:
    """Start the initiator or responder of ``file``, unless it runs, and fire with its messages.

    It runs until the reactor stops, and ends in order then. Fails with `ConfigInvalid` or `PrincipalFailed` where
    there is no principal, or none with a section of messages.
    """
    path = Path(file)

    def hire() -> Deferred[Tenancy[Any]]:
        settings = read_settings(path)
        if getattr(settings, "messages", None) is None:
            raise PrincipalFailed(f"{path} has no section [messages]")
        return hire_responder(reactor, path) if settings.role == "responder" else hire_initiator(reactor, path)

    def hired(tenancy: Tenancy[Daemon[Any]]) -> MessagesAtEdge:
        messages = tenancy.daemon.messages
        if messages is None:
            raise SeckexError(f"the principal of {path} runs without messages: it was started before they were")
        return messages

    return maybeDeferred(hire).addCallback(hired)
