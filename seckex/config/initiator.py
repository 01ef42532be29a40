"""The settings of the daemon that opens associations and carries local programs' connections over them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final

from attrs import Factory, frozen

from seckex.config.common import EVERYBODY, MAX_PEERS, OF_PEERS, Limits, Settings
from seckex.config.endpoints import ServerEndpoint
from seckex.config.messages import Messages, messages_contradictions
from seckex.config.problems import Problem, nearest, repeated, shown
from seckex.config.registration import Registration, registration_contradictions
from seckex.config.values import Host, Nai, OneOf, Port, ServiceName, Several, Whole

MAX_FORWARDS: Final = 1024
_ANY_PORT: Final = re.compile(r"^tcp6?:(.*:port=|port=)?0(:|$)")


@frozen(kw_only=True)
class InitiatorPeer:
    """A principal that associations are opened with."""

    nai: Nai
    """Its network access identifier."""

    authentication: Annotated[str, OneOf(OF_PEERS)] = "key0"
    """What each proves its name by: a KEY 0 that both share, a certificate of its own (see ``[identity]``), or that
    this node registers with it (see ``[registration]``), which one peer at most may have."""

    key0: Path | None = None
    """The file of the KEY 0 shared with it; see ``seckex key new``."""

    address: Host
    """Where it listens: an address, or a DNS name that is looked up whenever it is needed."""

    port: Port = 4434
    """Its port, for UDP and TCP."""


@frozen(kw_only=True)
class Forward:
    """A local listener; each connection to it becomes a dialog with a peer's service."""

    listen: ServerEndpoint
    """Where local programs connect: a Twisted server endpoint (``tcp``, ``tcp6``, ``unix``); port 0 is any free one."""

    peer: Nai
    """The peer, one of ``peers``."""

    service: ServiceName
    """The name that the peer gave the service."""


@frozen(kw_only=True)
class InitiatorLimits(Limits):
    """The bounds of the tables of an initiator."""

    forward_connections: Annotated[int, Whole(1, 65536)] = 1024
    """Local connections over all forwards at once; a further one is closed at once."""


@frozen(kw_only=True)
class InitiatorSettings(Settings):
    """A file with ``role = "initiator"``."""

    role: ClassVar[str] = "initiator"

    peers: Annotated[tuple[InitiatorPeer, ...], Several(0, MAX_PEERS)] = ()
    forwards: Annotated[tuple[Forward, ...], Several(0, MAX_FORWARDS)] = ()
    registration: Registration = Factory(Registration)
    messages: Messages | None = None
    limits: InitiatorLimits = Factory(InitiatorLimits)

    @property
    def home(self) -> InitiatorPeer | None:
        """The peer that this node registers with."""
        return next((peer for peer in self.peers if peer.authentication == "registration"), None)

    @classmethod
    def contradictions(cls, sections: Mapping[str, Any]) -> Iterator[Problem]:
        """Yield what is wrong between settings that are each right."""
        yield from super().contradictions(sections)
        yield from registration_contradictions(sections)
        yield from messages_contradictions(sections, listens=False)
        for index, peer in enumerate(sections.get("peers", ())):
            if peer.nai.startswith(EVERYBODY):
                yield Problem(f"peers[{index}].nai", "must be one principal, whom associations are opened with")
        forwards: tuple[Forward, ...] = sections.get("forwards", ())
        # Port 0 is another port each time.
        named = [str(index) if _ANY_PORT.search(one.listen) else one.listen for index, one in enumerate(forwards)]
        yield from repeated(named, "forwards[{}].listen".format)
        if "peers" in sections:
            known = [peer.nai for peer in sections["peers"]]
            # A peer whose name cannot be read may be the one that is meant.
            for index, forward in enumerate(forwards if "" not in known else ()):
                if forward.peer and forward.peer not in known:
                    advice = nearest(forward.peer, known) or "add it to peers"
                    yield Problem(
                        f"forwards[{index}].peer", f"must be one of peers, not {shown(forward.peer)}; {advice}"
                    )
