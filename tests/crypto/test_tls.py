"""TLS between neighbours, over octets that are handed on by hand: who is let in, who is not, and who finds out when."""

from __future__ import annotations

import gc
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from OpenSSL.SSL import (
    TLS1_2_VERSION,
    TLS1_3_VERSION,
    TLS_METHOD,
    VERIFY_NONE,
    Connection,
    Context,
    Error,
    Session,
    WantReadError,
)
from twisted.trial.unittest import SynchronousTestCase

from seckex.crypto.identity import Identity, TrustAnchors
from seckex.crypto.tls import ALPN, HopContexts
from seckex.errors import ApiMisuse, AuthenticationFailed, BadCertificate, Flaw
from tests.crypto.certified import DAY, NOW, Maker, der, key, trust

FA, HA = "fa@visited.example", "agent@home.example"
ROOT: Final = Maker.root()
OTHER: Final = Maker.root("other")


def contexts(identity: Identity, trusted: TrustAnchors | None = None, now: float = NOW) -> HopContexts:
    return HopContexts(identity, trusted or trust(ROOT), lambda: now)


def showing(*certificates: x509.Certificate, held: Any = None) -> Identity:
    """Return an identity with certificates that no honest program would take for its own."""
    identity = ROOT.identity(FA)
    identity.chain = tuple(der(*certificates))
    identity.key = held or identity.key
    return identity


class Hop:
    """Two connections and the wire between them; ``failed`` has what went wrong at either."""

    def __init__(self, client: Context, server: Context, session: Session | None = None) -> None:
        self.client, self.server = Connection(client, None), Connection(server, None)
        self.client.set_connect_state()
        self.server.set_accept_state()
        if session is not None:
            self.client.set_session(session)
        self.failed: dict[Connection, Error] = {}
        self.wire = b""

    def shake(self) -> Hop:
        while self.turn(self.client, self.server) | self.turn(self.server, self.client):
            pass
        return self

    def turn(self, one: Connection, other: Connection) -> bool:
        """Let ``one`` do what it can, and carry what it writes; return whether there was anything."""
        if one not in self.failed:
            try:
                one.do_handshake()
                one.recv(1)
            except WantReadError:
                pass
            except Error as error:
                self.failed[one] = error
        try:
            octets = one.bio_read(1 << 20)
        except WantReadError:
            return False
        self.wire += octets
        other.bio_write(octets)
        return True


class HopTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.fa, self.ha = contexts(ROOT.identity(FA)), contexts(ROOT.identity(HA))

    def shaken(self, client: HopContexts, server: HopContexts) -> Hop:
        hop = Hop(client.client, server.server).shake()
        self.assertEqual(hop.failed, {})
        return hop

    def test_each_learns_who_the_other_is(self) -> None:
        hop = self.shaken(self.fa, self.ha)
        self.assertEqual(self.fa.peer(hop.client, HA).nai, HA)
        self.assertEqual(self.ha.peer(hop.server, FA).nai, FA)
        for end in (hop.client, hop.server):
            self.assertEqual((end.get_protocol_version_name(), end.get_alpn_proto_negotiated()), ("TLSv1.3", ALPN))
        hop.client.send(b"there")
        hop.server.bio_write(hop.client.bio_read(1 << 16))
        self.assertEqual(hop.server.recv(100), b"there")

    def test_names_are_not_seen_on_the_wire(self) -> None:
        wire = self.shaken(self.fa, self.ha).wire
        for text in (FA, HA, "principal", "root"):
            self.assertNotIn(text.encode(), wire)

    def test_chains_of_any_length_and_whatever_stands_above(self) -> None:
        one = ROOT.under("one")
        two = one.under("two")
        for maker, length in ((ROOT, 1), (one, 2), (two, 3)):
            fa, ha = contexts(maker.identity(FA)), contexts(maker.identity(HA))
            hop = self.shaken(fa, ha)
            self.assertEqual((fa.peer(hop.client).nai, ha.peer(hop.server).nai), (HA, FA))
            self.assertEqual(len(hop.client.get_peer_cert_chain(as_cryptography=True) or ()), length)
        with_root = contexts(Identity([two.certify(FA), *two.above, ROOT.certificate], key(f"principal {FA}")))
        self.assertEqual(self.ha.peer(self.shaken(with_root, self.ha).server).nai, FA)

    def test_a_client_that_is_not_trusted(self) -> None:
        stranger = contexts(OTHER.identity(FA))
        hop = Hop(stranger.client, self.ha.server).shake()
        self.refused(self.ha, hop.server, Flaw.UNKNOWN_ISSUER)
        # The client is told by an alert, after its handshake.
        self.assertIn("alert", str(hop.failed[hop.client]))
        self.assertIsNone(stranger.flaw(hop.client))
        self.assertIn(hop.server, hop.failed)

    def test_a_server_that_is_not_trusted_learns_nothing_of_the_client(self) -> None:
        stranger = contexts(OTHER.identity(HA), trust(ROOT))
        hop = Hop(self.fa.client, stranger.server).shake()
        self.refused(self.fa, hop.client, Flaw.UNKNOWN_ISSUER)
        self.assertIn("alert", str(hop.failed[hop.server]))
        self.assertIsNone(hop.server.get_peer_certificate(as_cryptography=True))

    def refused(self, contexts: HopContexts, end: Connection, flaw: Flaw) -> None:
        found = contexts.flaw(end)
        self.assertEqual(found and found.flaw, flaw)
        self.assertRaises(ApiMisuse, contexts.peer, end)

    def test_the_rules_are_those_of_exchanges(self) -> None:
        rsa_key = rsa.generate_private_key(65537, 2048)
        revoked = ROOT.certify(FA)
        lists = [ROOT.revoked(revoked)]
        wrong: tuple[tuple[Flaw, Identity, TrustAnchors], ...] = (
            (Flaw.REVOKED, showing(revoked), trust(ROOT, lists=lists)),
            (Flaw.REVOCATION_UNKNOWN, showing(revoked), trust(ROOT, lists=[ROOT.revoked(until=NOW - 1)])),
            (Flaw.EXPIRED, ROOT.identity(FA, until=NOW - 1), trust(ROOT)),
            (Flaw.NOT_YET_VALID, ROOT.identity(FA, since=NOW + 1), trust(ROOT)),
            (Flaw.WRONG_USAGE, showing(ROOT.certify(FA, key_usage=None)), trust(ROOT)),
            (Flaw.WRONG_NAME, showing(ROOT.certify(held=key(f"principal {FA}"))), trust(ROOT)),
            (Flaw.WRONG_KEY, showing(ROOT.certify(FA, held=rsa_key), held=rsa_key), trust(ROOT)),
        )
        for flaw, identity, trusted in wrong:
            bad, good = contexts(identity), contexts(ROOT.identity(HA), trusted)
            self.refused(good, Hop(bad.client, good.server).shake().server, flaw)
            self.refused(good, Hop(good.client, bad.server).shake().client, flaw)

    def test_a_chain_that_is_too_long(self) -> None:
        maker = ROOT
        for name in ("a", "b", "c", "d"):
            maker = maker.under(name)
        long = contexts(showing(maker.certify(FA), *maker.above))
        # OpenSSL's path is cut where ours ends, so that it leads nowhere.
        self.refused(self.ha, Hop(long.client, self.ha.server).shake().server, Flaw.UNKNOWN_ISSUER)

    def test_certificates_beside_the_chain_are_found_afterwards(self) -> None:
        # OpenSSL puts together the path, which is right; what was sent is more than may be sent.
        spare = [ROOT.under(name).certificate for name in ("a", "b", "c", "d")]
        talkative = contexts(showing(ROOT.certify(FA), *spare))
        hop = self.shaken(talkative, self.ha)
        error = self.assertRaises(BadCertificate, self.ha.peer, hop.server)
        self.assertEqual(error.flaw, Flaw.TOO_LONG)

    def test_another_than_was_expected(self) -> None:
        hop = self.shaken(self.fa, self.ha)
        error = self.assertRaises(BadCertificate, self.fa.peer, hop.client, "else@home.example")
        self.assertEqual(error.flaw, Flaw.WRONG_NAME)
        self.assertRaises(BadCertificate, self.ha.peer, hop.server, HA)

    def test_nobody_is_anybody_before_the_handshake_is_done(self) -> None:
        hop = Hop(self.fa.client, self.ha.server)
        self.assertRaises(ApiMisuse, self.fa.peer, hop.client)
        hop.turn(hop.client, hop.server)
        hop.turn(hop.server, hop.client)
        # Now the client is done, and the server has not seen its certificate.
        hop.turn(hop.client, Connection(self.ha.server, None))
        self.assertEqual(self.fa.peer(hop.client).nai, HA)
        self.assertRaises(ApiMisuse, self.ha.peer, hop.server)

    def test_a_client_without_a_certificate(self) -> None:
        bare = Context(TLS_METHOD)
        bare.set_verify(VERIFY_NONE, lambda *_: True)
        bare.set_alpn_protos([ALPN])
        hop = Hop(bare, self.ha.server).shake()
        self.assertIn("peer did not return a certificate", str(hop.failed[hop.server]))
        self.assertRaises(ApiMisuse, self.ha.peer, hop.server)

    def test_an_earlier_version_of_tls(self) -> None:
        old = self.configured(TLS1_2_VERSION)
        for one, other in ((old, self.ha.server), (self.fa.client, old)):
            hop = Hop(one, other).shake()
            self.assertEqual(set(hop.failed), {hop.client, hop.server})

    def configured(self, highest: int) -> Context:
        """Return a context with the agent's certificate, of a program that is not ours."""
        context = Context(TLS_METHOD)
        context.set_max_proto_version(highest)
        context.use_certificate(ROOT.certify(FA))
        context.use_privatekey(key(f"principal {FA}"))
        context.set_verify(VERIFY_NONE, lambda *_: True)
        return context

    def test_whoever_does_not_speak_our_protocol(self) -> None:
        for spoken in ([], [b"http/1.1", b"h2"]):
            web = self.configured(TLS1_3_VERSION)
            if spoken:
                web.set_alpn_protos(spoken)
            hop = Hop(web, self.ha.server).shake()
            self.assertEqual(hop.failed, {})
            self.assertRaises(AuthenticationFailed, self.ha.peer, hop.server)

    def test_no_session_is_taken_up_again(self) -> None:
        session = self.shaken(self.fa, self.ha).client.get_session()
        late = [NOW]
        ha = HopContexts(ROOT.identity(HA), trust(ROOT), lambda: late[0])
        hop = self.shaken(self.fa, ha)
        session = hop.client.get_session()
        self.assertIsNotNone(session)
        # A session that is taken up again shows no certificate, so that nobody would find out that it has expired.
        late[0] = NOW + 11 * DAY
        again = Hop(self.fa.client, ha.server, session).shake()
        self.refused(ha, again.server, Flaw.EXPIRED)

    def test_who_holds_a_connection_is_judged_again(self) -> None:
        late = [NOW]
        ha = HopContexts(ROOT.identity(HA), trust(ROOT), lambda: late[0])
        hop = self.shaken(self.fa, ha)
        self.assertEqual(ha.peer(hop.server).nai, FA)
        late[0] = NOW + 11 * DAY
        self.assertEqual(self.assertRaises(BadCertificate, ha.peer, hop.server).flaw, Flaw.EXPIRED)
        reloaded = contexts(ROOT.identity(HA), trust(OTHER))
        self.assertEqual(self.assertRaises(BadCertificate, reloaded.peer, hop.server).flaw, Flaw.UNKNOWN_ISSUER)

    def test_connections_that_are_gone_leave_nothing(self) -> None:
        hop = self.shaken(self.fa, self.ha)
        self.assertEqual((len(self.fa._seen), len(self.ha._seen)), (1, 1))
        del hop
        gc.collect()
        self.assertEqual((len(self.fa._seen), len(self.ha._seen)), (0, 0))

    def test_nothing_is_shown(self) -> None:
        self.assertEqual(repr(self.fa), "<HopContexts <TrustAnchors 1>>")
