"""One TCP connection that carries envelopes, and the peer at its other end once that has proved itself.

A connection proves nothing by itself. Both ends say HELLO with a nonce, and the hash of both is the connection's
*path*, which is in the keys of all bodies on it (docs/messages.md, sections 2 and 5): so whoever opens an envelope
knows that its sender is at the other end now.

Silence: a connection on which nothing came for `IDLE` seconds is asked, and dropped after `PATIENCE` more; one that
has proved nothing after `PROVE_WITHIN` is dropped as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from seckex.crypto.envelope import message_path

if TYPE_CHECKING:
    from seckex.delivery.conversation import Conversation

IDLE: Final = 20.0
PATIENCE: Final = 10.0
PROVE_WITHIN: Final = 10.0


class Connection:
    """What the house knows of one connection.

    ``called`` is whom we called, None where somebody called us; ``claimed`` who the other end says that it is;
    ``proved`` who it is, an empty name for somebody anonymous, None as long as nothing was opened.

    ``relay`` is the relay at the other end, if we have called one; ``said`` has the dialogs of what it has not said
    KEPT to, by hash. ``told`` has the prekeys that the other end was told. Where we were called, ``chain`` is by what
    the other end has proved its name, if it has; at a relay ``collects`` is that name, and ``meant`` for whom it has
    called.
    """

    __slots__ = (
        "asked",
        "called",
        "chain",
        "claimed",
        "closing",
        "collects",
        "conversations",
        "forged",
        "heard",
        "leads_to",
        "learnt",
        "meant",
        "nonce",
        "number",
        "path",
        "proved",
        "ready",
        "relay",
        "said",
        "since",
        "told",
        "used",
    )

    def __init__(self, number: int, called: str | None, nonce: bytes, now: float) -> None:
        self.number = number
        self.called = called
        self.nonce = nonce
        self.claimed = called or ""
        self.proved: str | None = None
        self.path = b""
        #: Whether envelopes may be said: HELLO has come, and to who called PREKEYS.
        self.ready = False
        self.since = self.heard = now
        #: When an envelope went over it last, either way.
        self.used = now
        self.asked = False
        self.closing = False
        #: How many envelopes have not verified before the other end had proved itself.
        self.forged = 0
        #: When prekeys were last heard on it.
        self.learnt = now - 1.0
        #: Whom it leads to, and the dialogs that speak over it.
        self.leads_to: set[str | bytes] = set()
        self.conversations: dict[Conversation, None] = {}
        self.relay = ""
        self.said: dict[bytes, Conversation] = {}
        self.told: tuple[bytes, ...] = ()
        self.collects = self.meant = ""
        self.chain: tuple[bytes, ...] = ()

    def __repr__(self) -> str:
        return f"<Connection {self.number} {self.called or self.claimed!r}>"

    def met(self, nonce: bytes) -> None:
        """Take the other end's nonce, and with it the path."""
        caller, callee = (self.nonce, nonce) if self.called is not None else (nonce, self.nonce)
        self.path = message_path(caller, callee)

    def is_way_through(self, key: str | bytes) -> bool:
        """Tell whether it leads to somebody by way of a relay."""
        return bool(self.relay) and key != self.relay

    def due(self, now: float) -> str:
        """Return what is to be done by now: ``"ask"``, ``"drop"`` or nothing."""
        if self.proved is None and now - self.since >= PROVE_WITHIN and not (self.called and self.ready):
            return "drop"
        silence = now - self.heard
        if silence >= IDLE + PATIENCE:
            return "drop"
        if silence >= IDLE and not self.asked:
            return "ask"
        return ""
