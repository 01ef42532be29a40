"""The settings of dialogs of messages (docs/messages.md): services, who may send, where peers are, bounds.

The section is what makes a daemon take messages. Who may send to a service is said in two places of which one is
enough: the service's ``from``, and the table of the sender among ``peers``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Final

from attrs import Factory, frozen

from seckex.config.metrics import Place, place_of
from seckex.config.problems import Problem, key_path, nearest, repeated, shown
from seckex.config.structure import Unread
from seckex.config.values import (
    NAI,
    SERVICE,
    Nai,
    Named,
    Octets,
    OneOf,
    Port,
    Seconds,
    ServiceName,
    Several,
    Whole,
    Words,
    is_host,
)

MAX_MESSAGE_PEERS: Final = 4096
MAX_MESSAGE_SERVICES: Final = 1024
#: docs/messages.md, section 14.
LARGEST: Final = 4_026_470_400
#: The longest time that a relay keeps anything: docs/messages.md, section 13.
KEEP_FOR: Final = 7 * 86400
#: What the keys of a peer's dialogs come from (docs/messages.md, section 6).
SOURCES: Final = ("auto", "prekey", "association", "three-phase")
_EVERYBODY: Final = "*@"
_MEBI: Final = 2**20
_GIBI: Final = 2**30

_WHERE: Final = Words(
    'an IP address or a DNS name, without a port or brackets, or ""', lambda text: not text or is_host(text)
)
_RELAY: Final = Words(f'{NAI.expected}, or ""', lambda text: not text or NAI.fits(text))


def socket_name(worker: int) -> str:
    """Return what the socket for programs of a worker is called unless the configuration says otherwise."""
    return f"messages-{worker}.sock" if worker else "messages.sock"


def stands_for(pattern: str, nai: str) -> bool:
    """Tell whether ``pattern`` is ``nai``, or everybody of its realm (``*@realm``)."""
    return pattern == nai or (pattern.startswith(_EVERYBODY) and pattern[1:] == nai[nai.find("@") :])


@frozen(kw_only=True)
class MessageService:
    """A program that is sent messages."""

    largest: Annotated[int, Octets(1, LARGEST)] = _MEBI
    """The longest message that it takes; a longer one is put aside (code 130)."""

    attempts: Annotated[int, Whole(1, 1000)] = 8
    """How often a message is given to it before it is put aside."""

    retry_after: Annotated[int, Seconds(0, 86400)] = 10
    """How long a message waits before it is given again, unless the program says otherwise."""

    from_: Annotated[tuple[Nai, ...], Several(0, MAX_MESSAGE_PEERS)] = ()
    """Who may send to it beside those of ``peers`` that name it; ``*@realm`` is everybody of that realm."""

    anonymous: Annotated[str, OneOf(("refused", "taken"))] = "refused"
    """Whether messages are taken from initiators that do not say who they are."""


@frozen(kw_only=True)
class MessagePeer:
    """A principal that messages are exchanged with."""

    nai: Nai
    """Its network access identifier."""

    address: Annotated[str, _WHERE] = ""
    """Where it is called: an address, or a DNS name that is looked up whenever it is needed; ``""``: it calls us."""

    port: Port = 4434
    """Its TCP port."""

    via: Annotated[str, _RELAY] = ""
    """The relay by way of which it is reached, another one of ``peers``; ``""`` for none."""

    collect: Annotated[str, OneOf(("no", "yes"))] = "no"
    """Whether there is always a connection to it, over which it can send to us: it is a peer that cannot call us, or a
    relay that keeps what comes meanwhile."""

    keys: Annotated[str, OneOf(SOURCES)] = "auto"
    """Where the keys of dialogs with it come from. With "auto" it is prekeys, and phases when both are on line."""

    identity: Annotated[str, OneOf(("told", "withheld"))] = "told"
    """Whether it is told who we are in dialogs that begin here."""

    services: Annotated[tuple[ServiceName, ...], Several(0, MAX_MESSAGE_SERVICES)] = ()
    """The services here that it may send to, beside those whose ``from`` names it."""


@frozen(kw_only=True)
class MessageLimits:
    """What dialogs of messages may take up."""

    dialogs: Annotated[int, Whole(1, 1_000_000)] = 16384
    """Dialogs at once; a further one is refused (code 303)."""

    outbox: Annotated[int, Octets(_MEBI, 1024 * _GIBI)] = _GIBI
    """Octets of messages that were sent and not processed yet; at the bound sending fails (code 130)."""

    inbox: Annotated[int, Octets(_MEBI, 1024 * _GIBI)] = _GIBI
    """Octets of messages that programs have not processed yet; at the bound peers may send no more."""

    spool: Annotated[int, Octets(_MEBI, 1024 * 1024 * _GIBI)] = 64 * _GIBI
    """Octets of messages above 1 MiB, which are in files; at the bound they are refused (code 130)."""

    window: Annotated[int, Octets(65536, _GIBI)] = 4 * _MEBI
    """Octets that a peer may send on a dialog and that are not processed."""

    dead: Annotated[int, Whole(0, 1_000_000)] = 10_000
    """Messages that are put aside; of more the oldest is forgotten."""

    connections: Annotated[int, Whole(1, 65536)] = 1024
    """Connections that others have made, at once; a further one is closed."""

    idle: Annotated[int, Seconds(10, 86400)] = 300
    """A connection over which nothing went for so long is closed where no dialog is alive."""


@frozen(kw_only=True)
class MessageRelay:
    """What a relay keeps for others (docs/messages.md, section 13)."""

    for_: Annotated[tuple[Nai, ...], Several(1, MAX_MESSAGE_PEERS)]
    """Who may deposit and collect; ``*@realm`` is everybody of that realm."""

    keep_for: Annotated[int, Seconds(60, KEEP_FOR)] = KEEP_FOR
    """How long an envelope is kept that nobody collects."""

    octets: Annotated[int, Octets(_MEBI, 1024 * _GIBI)] = 64 * _MEBI
    """What is kept for one destination; an envelope counts 1 KiB at least. Beyond the bound it is refused (130)."""

    envelopes: Annotated[int, Whole(1, 1_000_000)] = 10_000
    """Envelopes that are kept for one destination."""

    total: Annotated[int, Octets(_MEBI, 1024 * _GIBI)] = _GIBI
    """What is kept for all of them, counted likewise."""


@frozen(kw_only=True)
class MessageHttp:
    """Where programs of other processes send and receive, over HTTP."""

    socket: Path | None = None
    """The unix socket, made with mode 0600; None: what `socket_name` says, in the state directory."""

    listen: Annotated[tuple[Annotated[str, Place()], ...], Several(0, 16)] = ()
    """Addresses of this machine and TCP ports beside it; whoever asks there has to know the token."""

    token_file: Path | None = None
    """The file of the token, of 32 octets at least, closed to others."""


@frozen(kw_only=True)
class Messages:
    """See the module."""

    services: Annotated[Mapping[str, MessageService], Named(SERVICE, MAX_MESSAGE_SERVICES)] = Factory(dict)
    peers: Annotated[tuple[MessagePeer, ...], Several(0, MAX_MESSAGE_PEERS)] = ()
    limits: MessageLimits = Factory(MessageLimits)
    http: MessageHttp = Factory(MessageHttp)
    relay: MessageRelay | None = None

    prekeys_every: Annotated[int, Seconds(3600, 86400 * 30)] = 86400
    """How often new prekeys are made."""

    prekey_lifetime: Annotated[int, Seconds(3600, 86400 * 30)] = 86400 * 7
    """How long a prekey may be used; what was sealed to it can be opened by nobody after that."""

    keep_dead: Annotated[int, Seconds(3600, 86400 * 3650)] = 86400 * 30
    """How long a message that was put aside is kept."""

    def may_send(self, nai: str, service: str) -> bool:
        """Tell whether ``nai`` may send to a service."""
        known = self.services.get(service)
        if known is None:
            return False
        named = any(peer.nai == nai and service in peer.services for peer in self.peers)
        return named or any(stands_for(pattern, nai) for pattern in known.from_)


def needs_certificate(messages: Messages) -> str:
    """Return why certificates are needed, empty where all that is said goes under associations."""
    if messages.relay is not None:
        return "who deposits and collects at messages.relay proves his name by them"
    for peer in messages.peers:
        if peer.via or peer.collect == "yes":
            return f"a relay is told who we are by them: {peer.via or peer.nai}"
        if peer.keys != "association":
            return f'messages are exchanged with {peer.nai} whose keys are "{peer.keys}"'
    associated = {peer.nai for peer in messages.peers}
    for name, service in messages.services.items():
        if service.anonymous == "taken" or any(pattern not in associated for pattern in service.from_):
            return f"messages are taken for {name} from others than peers by association"
    return "" if messages.peers else "messages are proved by it"


def messages_contradictions(sections: Mapping[str, Any], *, listens: bool) -> Iterator[Problem]:
    """Yield what is wrong with ``[messages]`` and what stands beside it; ``listens``: peers can call this daemon."""
    messages: Messages | None = sections.get("messages")
    if messages is None:
        return
    peers = messages.peers
    if messages.prekeys_every > messages.prekey_lifetime:
        yield Problem(
            "messages.prekeys-every", "must be at most messages.prekey-lifetime, or there would be none at times"
        )
    yield from repeated((peer.nai for peer in peers), "messages.peers[{}].nai".format)
    identity = sections.get("identity")
    for index, peer in enumerate(peers):
        path = f"messages.peers[{index}]"
        if identity is not None and peer.nai == identity.nai:
            yield Problem(f"{path}.nai", "must be somebody else: this is identity.nai")
        if peer.nai.startswith(_EVERYBODY):
            yield Problem(f"{path}.nai", "must be one principal; everybody of a realm can stand in from of a service")
        yield from _ways(peer, peers, path, listens)
        if peer.identity == "withheld" and peer.keys != "prekey":
            yield Problem(f"{path}.keys", f'must be "prekey": all others tell {peer.nai} who we are')
        if peer.keys == "association" and "peers" in sections:
            yield from _associated(peer, sections["peers"], path)
        for place, name in enumerate(peer.services):
            if name not in messages.services:
                advice = nearest(name, messages.services) or "add it as a table of messages.services"
                yield Problem(
                    f"{path}.services[{place}]", f"must be one of messages.services, not {shown(name)}; {advice}"
                )
    for name, service in messages.services.items():
        yield from repeated(service.from_, (key_path("messages.services", name) + ".from[{}]").format)
    yield from _http(messages.http)
    if messages.relay is not None:
        yield from repeated(messages.relay.for_, "messages.relay.for[{}]".format)
        yield from _relay(sections, listens=listens)


def _relay(sections: Mapping[str, Any], *, listens: bool) -> Iterator[Problem]:
    state = sections.get("state")
    if not listens:
        yield Problem("messages.relay", "must be a responder's: nobody can call an initiator")
    if state is not None and state.worker:
        yield Problem(
            "messages.relay", "must be of a daemon without workers: each would keep what others are asked for"
        )


def _ways(peer: MessagePeer, peers: tuple[MessagePeer, ...], path: str, listens: bool) -> Iterator[Problem]:
    if peer.via:
        relay = next((each for each in peers if each.nai == peer.via), None)
        if peer.address:
            yield Problem(f"{path}.address", f"must go: it is reached by way of {peer.via}")
        if peer.collect == "yes":
            yield Problem(f"{path}.collect", f"must be a relay that is called itself, not by way of {peer.via}")
        if peer.keys == "three-phase":
            yield Problem(f"{path}.keys", f"must be another: both must be on line, and {peer.via} is between")
        if peer.identity == "withheld":
            yield Problem(f"{path}.identity", 'must be "told": who has no name is not reached by way of a relay')
        if relay is None or relay is peer:
            yield Problem(f"{path}.via", f"must be another one of messages.peers, not {shown(peer.via)}")
        elif relay.via:
            yield Problem(f"{path}.via", f"must be called itself, and {relay.nai} is reached by way of {relay.via}")
        elif not relay.address:
            yield Problem(f"{path}.via", f"must be called itself, and {relay.nai} has no address")
    elif not peer.address and peer.collect == "yes":
        yield Problem(f"{path}.address", "is required: we collect by calling")
    elif not peer.address and not listens:
        yield Problem(f"{path}.address", "is required, or via: an initiator cannot be called")


def _associated(peer: MessagePeer, known: tuple[Any, ...], path: str) -> Iterator[Problem]:
    if any(isinstance(each, Unread) or stands_for(each.nai, peer.nai) for each in known):
        return
    yield Problem(f"{path}.keys", f'must be another than "association": {peer.nai} is none of peers')


def _http(http: MessageHttp) -> Iterator[Problem]:
    yield from repeated(http.listen, "messages.http.listen[{}]".format)
    for index, text in enumerate(http.listen):
        place = place_of(text)
        if place is not None and not ip_address(place[0]).is_loopback:
            yield Problem(
                f"messages.http.listen[{index}]", f"must be an address of this machine alone, not {shown(text)}"
            )
    if http.listen and http.token_file is None:
        yield Problem(
            "messages.http.token-file", "is required: others on this machine can connect to messages.http.listen"
        )
