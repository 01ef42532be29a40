"""No secret is said, shown or told: not on the wire, not in a report, not in the ``repr`` of any state or action."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from seckex.crypto.authority import Key0
from seckex.crypto.groups.curves import P256Share, X25519Share
from seckex.crypto.groups.hybrid import HybridShare
from seckex.crypto.groups.modp import ModpShare
from seckex.crypto.schedule import AgreedKeys
from seckex.crypto.secrets import Secret
from seckex.crypto.suites import Hash
from seckex.node import conversation
from seckex.node.node import Node
from seckex.sa.algorithms import ALL
from seckex.wire.numbers import ProtocolId
from tests.conversation import ConversationCase, policy, proposal
from tests.exchange.test_faults import AGREEING, MESSAGES
from tests.groups import HEAVY, ROOT, anyone, naming
from tests.link import lose, on
from tests.pump import KEY


class SecretTests(ConversationCase):
    def setUp(self) -> None:
        super().setUp()
        self._remember_secrets()
        self._show_everything()

    def anew(self) -> None:
        super().anew()
        # Each conversation draws the same octets from its seed, and what is secret in one is a nonce in another.
        self.secrets: set[bytes] = {KEY}
        self.shown: list[str] = []

    def _remember_secrets(self) -> None:
        """Take note of each secret as it comes into being."""
        for kind in (X25519Share, P256Share, HybridShare, ModpShare):
            self.patch(kind, "__init__", self._making(kind.__init__))
            self.patch(kind, "finish", self._finishing(kind.finish))
        # Whatever comes out of HKDF is a key of some kind.
        self.patch(Hash, "expand", self._noting(Hash.expand))
        self.patch(Hash, "extract", self._noting(Hash.extract))

    def _making(self, make: Callable[..., None]) -> Callable[..., None]:
        def made(share: Any, *arguments: Any) -> None:
            drawn = arguments[-1]
            self.secrets.add(drawn.to_bytes(32, "big") if isinstance(drawn, int) else drawn)
            make(share, *arguments)

        return made

    def _finishing(self, finish: Callable[..., Secret]) -> Callable[..., Secret]:
        def finished(share: Any, value: bytes) -> Secret:
            secret = finish(share, value)
            self.secrets.add(secret.octets)
            return secret

        return finished

    def _noting(self, derive: Callable[..., bytes]) -> Callable[..., bytes]:
        def derived(*arguments: Any) -> bytes:
            octets = derive(*arguments)
            self.secrets.add(octets)
            return octets

        return derived

    def _show_everything(self) -> None:
        """Keep how each event, state, action and node would look in a log or a traceback."""
        drive, receive = conversation.Driver.drive, Node.receive

        def driven(driver: conversation.Driver, talk: conversation.Conversation, event: object, *rest: Any) -> None:
            self.shown += [repr(talk.state), repr(event)]
            drive(driver, talk, event, *rest)
            self.shown += [repr(talk.state), repr(talk), repr(rest)]

        def received(node: Node, *arguments: Any) -> list[Any]:
            actions = receive(node, *arguments)
            self.shown += [f"{action!r} {action}" for action in actions]
            return actions

        self.patch(conversation.Driver, "drive", driven)
        self.patch(Node, "receive", received)

    def check(self) -> None:
        """Search all that was shown for all that is secret."""
        for host in self.network.hosts.values():
            for keys in (association.keys for association in host.node.associations):
                for key in (keys.auth_i, keys.auth_r, keys.dialog, keys.exporter, keys.rekey, keys.secret):
                    self.secrets.add(key.octets)
            self.shown += [repr(vars(host)), repr(host.node), repr(vars(host.node)), repr(host.node.counters)]
            self.shown += [f"{event!r} {event}" for event in host.reports]
            self.shown += [repr(peer.terms) for peer in host.peers.values()]
        text = "\n".join((*self.shown, str(self.network)))
        # Octets in a repr are escaped, so they are looked for as they would appear there.
        wire = b"\n".join(datagram.octets for datagram in self.network.sent)
        self.assertGreaterEqual(len(self.secrets), 15)
        for secret in self.secrets:
            for length in (len(secret), 16):
                piece = secret[:length]
                self.assertNotIn(piece, wire)
                for shown in (
                    piece.hex(),
                    repr(piece)[2:-1],
                    str(list(piece))[1:-1],
                    str(int.from_bytes(secret, "big")),
                ):
                    self.assertNotIn(shown, text)

    def test_of_conversations_that_come_to_an_association(self) -> None:
        for ours, theirs, _ in AGREEING:
            self.anew()
            node, home = self.pair(ours, theirs)
            self.established(node, home)
            self.check()

    def test_of_conversations_in_every_group(self) -> None:
        names = (one.name for one in ALL if one.protocol is ProtocolId.KEY_AGREEMENT)
        numbered = (policy(proposal(f"aes-256-gcm prf-hmac-sha-256 {name}")) for name in names)
        for ours, theirs in (
            *((one, one) for one in numbered),
            (naming(HEAVY), naming(HEAVY)),
            (naming(ROOT), anyone()),
        ):
            self.anew()
            node, home = self.pair(ours, theirs)
            self.established(node, home)
            self.check()

    def test_of_conversations_that_go_wrong(self) -> None:
        for label, ours, theirs in MESSAGES:
            self.anew()
            node, home = self.pair(ours, theirs)
            node.commit_faults[2] = home.commit_faults[2] = "disk full"
            self.network.faults = [on(label, lose)]
            node.want(home)
            self.network.run(40)
            home.receive(self.network.sent[0].octets[:-1] + b"\0", node.path)
            self.check()

    def test_the_search_finds_what_there_is_to_find(self) -> None:
        node, home = self.pair()
        self.established(node, home)
        self.shown.append(KEY.hex())
        self.assertRaises(self.failureException, self.check)


class NoMoreThanNeededTests(ConversationCase):
    def test_key_0_itself_is_kept_by_nobody(self) -> None:
        key0 = Key0(Secret(KEY), 0x1234, 1, ("a@b", "c@d"))
        held = [getattr(key0, name) for name in Key0.__slots__]
        self.assertNotIn(KEY, [part.octets if isinstance(part, Secret) else part for part in held])

    def test_an_association_keeps_its_keys_and_nothing_that_they_came_from(self) -> None:
        secrets: list[bytes] = []
        share = X25519Share.finish

        def agreed(agreement: X25519Share, value: bytes) -> Secret:
            secrets.append(share(agreement, value).octets)
            return Secret(secrets[-1])

        self.patch(X25519Share, "finish", agreed)
        ours = self.established(*self.pair())
        self.assertEqual(len(secrets), 2)
        self.assertEqual(secrets[0], secrets[1])
        self.assertNotIn(secrets[0], ours.keys.octets())
        self.assertEqual(AgreedKeys.from_octets(ours.keys.octets()), ours.keys)
