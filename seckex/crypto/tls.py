"""TLS between neighbours: mutual, and our own rules say who the other is (docs/registration.md, section 11).

`HopContexts` makes the two contexts that pyOpenSSL connections are made from. There
is TLS 1.3 only, no session is ever resumed, both ends show certificates, and the
application protocol is ours (ALPN). OpenSSL's own verdict
about a chain is overruled: certificates are judged by `TrustAnchors`, with the same
names, rules and revocation lists as in an exchange.

This happens twice. While the handshake runs each end looks at the chain as soon as
OpenSSL has put it together, so that one that will not do ends the handshake with
an alert, and a client shows nothing to a server that it does not trust. That is a
courtesy. What counts is `HopContexts.peer` after the handshake, which judges the chain
as the peer has sent it: whoever uses a connection must ask before it believes, or
sends, anything. Asking again later, or asking the contexts that a reload has
made, tells whether the chain still holds; what is remembered makes it cheap.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from weakref import WeakKeyDictionary

from attrs import define, field
from cryptography.x509 import load_der_x509_certificate
from OpenSSL.crypto import X509
from OpenSSL.SSL import (
    NO_OVERLAPPING_PROTOCOLS,
    OP_NO_TICKET,
    SESS_CACHE_OFF,
    TLS1_3_VERSION,
    TLS_METHOD,
    VERIFY_FAIL_IF_NO_PEER_CERT,
    VERIFY_PEER,
    Connection,
    Context,
)

from seckex.crypto.certificates import der_of
from seckex.crypto.identity import Identity, Trust, Voucher
from seckex.errors import ApiMisuse, AuthenticationFailed, BadCertificate, Flaw
from seckex.wire.numbers import MAX_CERTIFICATES

ALPN: Final = b"seckex1-hop"


@define
class _Seen:
    """What a handshake has shown so far: certificates by their depth, and what was wrong with them."""

    chain: dict[int, bytes] = field(factory=dict)
    flaw: BadCertificate | None = None


class HopContexts:
    """What connections to neighbours are made from; ``clock`` gives wall-clock seconds since 1970.

    ``client`` and ``server`` are pyOpenSSL contexts. The private key stays in memory.
    """

    def __init__(self, identity: Identity, trust: Trust, clock: Callable[[], float]) -> None:
        self._trust = trust
        self._clock = clock
        self._seen: WeakKeyDictionary[Connection, _Seen] = WeakKeyDictionary()
        self.client = self._context(identity)
        self.client.set_alpn_protos([ALPN])
        self.server = self._context(identity)
        self.server.set_alpn_select_callback(
            lambda _connection, offered: ALPN if ALPN in offered else NO_OVERLAPPING_PROTOCOLS
        )

    def __repr__(self) -> str:
        return f"<HopContexts {self._trust!r}>"

    def _context(self, identity: Identity) -> Context:
        context = Context(TLS_METHOD)
        context.set_min_proto_version(TLS1_3_VERSION)
        context.set_session_cache_mode(SESS_CACHE_OFF)
        context.set_options(OP_NO_TICKET)
        context.set_verify(VERIFY_PEER | VERIFY_FAIL_IF_NO_PEER_CERT, self._look)
        own, *above = map(load_der_x509_certificate, identity.chain)
        context.use_certificate(own)
        context.use_privatekey(identity.key)
        for each in above:
            context.add_extra_chain_cert(each)
        return context

    def end(self, *, calling: bool) -> Connection:
        """Return one end of a connection that is still to come about, the one that calls or the other."""
        return Connection(self.client if calling else self.server, None)

    def _look(self, connection: Connection, certificate: X509, _error: int, depth: int, good: int) -> bool:
        """Be told by OpenSSL of one certificate; the last call is for the peer's own, when the chain is together."""
        seen = self._seen.setdefault(connection, _Seen())
        if depth < MAX_CERTIFICATES:
            seen.chain[depth] = der_of(certificate.to_cryptography())
        if not good or depth:
            return True
        chain = [seen.chain[at] for at in sorted(seen.chain)]
        seen.chain.clear()
        try:
            self._trust.verify(chain, self._clock())
        except BadCertificate as flaw:
            seen.flaw = flaw
        return seen.flaw is None

    def flaw(self, connection: Connection) -> BadCertificate | None:
        """Return what was wrong with the peer's certificates, where that has ended the handshake."""
        seen = self._seen.get(connection)
        return None if seen is None else seen.flaw

    def peer(self, connection: Connection, expected: str | None = None) -> Voucher:
        """Return who is at the other end, after the handshake and before anything else; ``expected`` is a NAI.

        Raises `BadCertificate`, and `AuthenticationFailed` for one who does not
        speak this protocol.
        """
        if connection.get_peer_finished() is None:
            raise ApiMisuse("the handshake is not done")
        if connection.get_alpn_proto_negotiated() != ALPN:
            raise AuthenticationFailed("the neighbour does not speak the protocol of hops")
        voucher = self._trust.verify(_chain_of(connection), self._clock())
        if expected is not None and voucher.nai != expected:
            raise BadCertificate(Flaw.WRONG_NAME, f"the certificate is of {voucher.nai}, not of {expected}")
        return voucher


def _chain_of(connection: Connection) -> list[bytes]:
    """Return the chain as the peer has sent it; to servers OpenSSL gives the peer's own certificate apart."""
    own = connection.get_peer_certificate(as_cryptography=True)
    above = connection.get_peer_cert_chain(as_cryptography=True) or []
    if own is not None and own not in above[:1]:
        above.insert(0, own)
    return [der_of(each) for each in above]
