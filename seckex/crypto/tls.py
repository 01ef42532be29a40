"""TLS 1.3 between principals: both show certificates, and each is who its certificate says or nobody.

`TlsEnds` makes the two kinds of end, by pyOpenSSL, from one identity and one
trust; new credentials are other ends. TLS proves that the peer has the key of
its certificate; whether that is worth anything is judged as everywhere else, by
`TrustAnchors.verify`: path, dates by the caller's clock, constraints, names,
revocation. It happens inside the handshake, so that whoever fails is told so by
an alert and gets nothing else. What OpenSSL thinks of a chain beside that does not count.

`TlsEnd.voucher` gives what the handshake proved, and raises for a connection on
which nothing was looked at. No earlier connection is ever resumed: each proves
its ends anew. There is nothing but TLS 1.3 and its AEADs; the groups are
OpenSSL's own choice, the hybrid one among them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from cryptography.x509 import load_der_x509_certificate
from OpenSSL import SSL
from OpenSSL.crypto import X509

from seckex.crypto.certificates import der_of, fingerprint
from seckex.crypto.identity import Identity, TrustAnchors, Voucher
from seckex.errors import ApiMisuse, BadCertificate, Flaw
from seckex.wire.numbers import MAX_CERTIFICATES

_PURPOSE: Final = b"seckex-hop"


class TlsEnd(SSL.Connection):
    """One end of one connection, and what came of looking at the chain that its peer has shown."""

    def __init__(self, context: SSL.Context) -> None:
        super().__init__(context, None)
        self._shown: dict[int, bytes] = {}
        self._chain: tuple[bytes, ...] = ()
        self._voucher: Voucher | None = None
        #: Why the peer's certificates were refused, None where they were not.
        self.flaw: BadCertificate | None = None

    def gather(self, depth: int, der: bytes) -> None:
        """Take one certificate of the chain; the peer's own has the depth 0."""
        self._shown[depth] = der

    def judge(self, trust: TrustAnchors, now: float) -> bool:
        """Find out what the chain proves at ``now``."""
        # Above the principal's own are those of whom its chain is made and the anchor, which the judge knows by itself.
        chain = [self._shown[at] for at in sorted(self._shown)]
        self._chain = tuple(each for each in chain if not trust.is_anchor(each))
        try:
            self._voucher = trust.verify(self._chain, now)
        except BadCertificate as error:
            self.flaw = error
        return self.flaw is None

    def voucher(self) -> Voucher:
        """Return what the peer has proved, once the handshake is over; raises `BadCertificate`."""
        shown = self.get_peer_certificate(as_cryptography=True)
        if self.flaw is not None:
            raise self.flaw
        if self._voucher is None or shown is None or fingerprint(der_of(shown)) != self._voucher.fingerprint:
            raise BadCertificate(Flaw.MALFORMED, "nothing was proved")
        return self._voucher

    def check(self, trust: TrustAnchors, now: float) -> None:
        """Raise `BadCertificate` unless ``trust`` vouches at ``now`` for a peer that has proved its name."""
        trust.verify(self._chain, now)


class TlsEnds:
    """Makes the ends of connections of ``identity`` with those whom ``trust`` vouches for.

    ``wall`` gives seconds since 1970.
    """

    def __init__(self, identity: Identity, trust: TrustAnchors, wall: Callable[[], float]) -> None:
        self._trust = trust
        self._wall = wall
        self._context = context = SSL.Context(SSL.TLS_METHOD)
        context.set_min_proto_version(SSL.TLS1_3_VERSION)
        context.set_max_proto_version(SSL.TLS1_3_VERSION)
        context.set_options(SSL.OP_NO_TICKET)
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        context.set_session_id(_PURPOSE)
        certificates = [load_der_x509_certificate(der) for der in identity.chain]
        context.use_certificate(certificates[0])
        for certificate in certificates[1:]:
            context.add_extra_chain_cert(certificate)
        context.use_privatekey(identity.private_key)
        store = context.get_cert_store()
        if store is None:
            raise ApiMisuse("the context has no store")
        for anchor in trust.anchors:
            store.add_cert(X509.from_cryptography(anchor))
        context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, self._look)
        context.set_verify_depth(MAX_CERTIFICATES)

    def client(self) -> TlsEnd:
        """Return the end that begins."""
        end = TlsEnd(self._context)
        end.set_connect_state()
        return end

    def server(self) -> TlsEnd:
        """Return the end that answers."""
        end = TlsEnd(self._context)
        end.set_accept_state()
        return end

    def _look(self, end: SSL.Connection, shown: X509, _error: int, depth: int, fine: int) -> bool:
        """Gather the chain that OpenSSL goes through from its far end; the peer's own certificate is the last."""
        if not isinstance(end, TlsEnd):
            return False
        end.gather(depth, der_of(shown.to_cryptography()))
        if depth or not fine:
            # It comes again for the peer's own once all are gone through; then all is judged at once.
            return True
        return end.judge(self._trust, self._wall())
