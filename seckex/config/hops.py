"""The settings of secure hops: which neighbours are called, where, by what, and who may call.

A hop is secured by TLS with certificates of both ends, or by an association
(docs/registration.md, section 11). There is no setting that would let anything go in the clear.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final

from attrs import Factory, frozen

from seckex.config.common import AUTHENTICATIONS, EVERYBODY, Identity, Settings
from seckex.config.problems import Problem, repeated
from seckex.config.structure import Unread
from seckex.config.values import Address, Host, Nai, OneOf, Port, Several

MAX_HOPS: Final = 1024
SECURITIES: Final = ("tls", "association")
HOP_PORT: Final = 4435
ASSOCIATION_PORT: Final = 4434


@frozen(kw_only=True)
class Hop:
    """A neighbour: somebody to whom there is a secure hop, made when it is needed."""

    nai: Nai
    """Its network access identifier, which its certificate or its association must prove."""

    address: Host
    """Where it listens: an address, or a DNS name that is looked up whenever it is needed."""

    security: Annotated[str, OneOf(SECURITIES)] = "tls"
    """What the hop is secured by: mutual TLS 1.3 with certificates, or an association and a dialog under it."""

    port: Port = Factory(lambda self: HOP_PORT if self.security == "tls" else ASSOCIATION_PORT, takes_self=True)
    """Its port: 4435 for TLS; for an association 4434, for UDP and TCP."""

    authentication: Annotated[str, OneOf(AUTHENTICATIONS)] = "certificate"
    """What the ends of an association prove their names by; with TLS it is certificates."""

    key0: Path | None = None
    """The file of the KEY 0 shared with it, for an association; see ``seckex key new``."""


@frozen(kw_only=True)
class HopsListen:
    """Where neighbours find this daemon for hops by TLS, and which may come."""

    addresses: Annotated[tuple[Address, ...], Several(0, 64)] = ()
    """The addresses to listen on; ``0.0.0.0`` and ``::`` are all of the machine's; without any nobody can come."""

    port: Port = HOP_PORT
    """The TCP port."""

    accept: Annotated[tuple[Nai, ...], Several(0, MAX_HOPS)] = ()
    """Who may come by TLS beside those of ``hops``; ``*@realm`` is everybody of that realm."""


@frozen(kw_only=True)
class HopSettings(Settings):
    """The settings of a role that has hops."""

    hops: Annotated[tuple[Hop, ...], Several(0, MAX_HOPS)] = ()
    hops_listen: HopsListen = Factory(HopsListen)

    @classmethod
    def contradictions(cls, sections: Mapping[str, Any]) -> Iterator[Problem]:
        """Yield what is wrong between settings that are each right."""
        yield from super().contradictions(sections)
        hops: tuple[Hop, ...] = sections.get("hops", ())
        listen: HopsListen | None = sections.get("hops_listen")
        identity: Identity | None = sections.get("identity")
        yield from repeated((hop.nai for hop in hops), "hops[{}].nai".format)
        peers = {peer.nai: peer for peer in sections.get("peers", ()) if not isinstance(peer, Unread)}
        for index, hop in enumerate(hops):
            if not isinstance(hop, Unread):
                yield from _hop(hop, f"hops[{index}]", identity)
                peer = peers.get(hop.nai) if hop.security == "association" else None
                if peer is not None and peer.authentication != hop.authentication:
                    what = f'must be "{peer.authentication}", as peers has it for {hop.nai}'
                    yield Problem(f"hops[{index}].authentication", what)
        if listen is not None:
            yield from _listening(listen)

    @classmethod
    def by_certificate(cls, sections: Mapping[str, Any]) -> Iterator[str]:
        """Yield whom our certificate is for, in words."""
        yield from super().by_certificate(sections)
        for hop in sections.get("hops", ()):
            if not isinstance(hop, Unread) and (hop.security == "tls" or hop.authentication == "certificate"):
                yield f"the hop to {hop.nai} needs it"
        listen: HopsListen | None = sections.get("hops_listen")
        if listen is not None and listen.addresses:
            yield "hops-listen needs it"


def _hop(hop: Hop, path: str, identity: Identity | None) -> Iterator[Problem]:
    if identity is not None and hop.nai == identity.nai:
        yield Problem(f"{path}.nai", "must be somebody else: this is identity.nai")
    if hop.nai.startswith(EVERYBODY):
        yield Problem(f"{path}.nai", "must be one principal, whom hops are made to; hops-listen.accept takes realms")
    if hop.security == "tls":
        if hop.authentication != "certificate":
            yield Problem(f"{path}.authentication", 'must be "certificate": security is "tls"')
        elif hop.key0 is not None:
            yield Problem(f"{path}.key0", 'must go: security is "tls", which is by certificates')
    elif hop.authentication == "key0" and hop.key0 is None:
        yield Problem(f"{path}.key0", 'is required: authentication is "key0"')
    elif hop.authentication == "certificate" and hop.key0 is not None:
        yield Problem(f"{path}.key0", 'must go, or authentication be "key0"')


def _listening(listen: HopsListen) -> Iterator[Problem]:
    yield from repeated(listen.addresses, "hops-listen.addresses[{}]".format)
    yield from repeated(listen.accept, "hops-listen.accept[{}]".format)
    if "::" in listen.addresses and "0.0.0.0" in listen.addresses:  # noqa: S104  # as it was written
        place = listen.addresses.index("0.0.0.0")  # noqa: S104  # the same
        yield Problem(f"hops-listen.addresses[{place}]", 'must go: "::" alone is all addresses of both families')
