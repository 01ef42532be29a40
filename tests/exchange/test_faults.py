"""Links that lose, double, delay, reorder, corrupt and cut: an exchange comes to its end all the same."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Final

from seckex.events import NegotiationRefused
from seckex.machine import Path
from seckex.sa.policy import Policy
from seckex.sa.store import PutAssociation
from tests.conversation import AES, CHACHA, INDISPENSABLE, ConversationCase, policy, proposal, sealing
from tests.link import Datagram, Fault, duplicate, late, lose, nth
from tests.pump import Host

STRANGER: Final = Path("203.0.113.66", 4434)

TWO_ROUNDS: Final = policy(sealing("chacha20-poly1305"), sealing("aes-256-gcm"), open_with=1)
THREE_ROUNDS: Final = policy(
    sealing("chacha20-poly1305"), proposal("aes-256-gcm hmac-sha-384 prf-hmac-sha-256 x25519"), open_with=1
)
NOTHING: Final = Policy((), INDISPENSABLE)

# How a conversation goes by its policies, and how many datagrams it takes.
AGREEING: Final = ((AES, AES, 4), (TWO_ROUNDS, AES, 6), (THREE_ROUNDS, AES, 8))
REFUSING: Final = (
    (AES, NOTHING, 2),
    (policy(sealing("aes-256-gcm", 100)), policy(sealing("aes-256-gcm"), shortest_lifetime=600), 6),
)

# Every kind of message, the second round's among them, and a conversation in which it occurs.
MESSAGES: Final = (
    ("OFFER 1", AES, AES),
    ("CHOICE 1", AES, AES),
    ("CONFIRM", AES, AES),
    ("CONFIRMED", AES, AES),
    ("COUNTER 1", TWO_ROUNDS, AES),
    ("OFFER 2", TWO_ROUNDS, AES),
    ("CHOICE 2", TWO_ROUNDS, AES),
    ("REFUSAL 1", AES, NOTHING),
    ("ABANDON 2", CHACHA, AES),
)


class OneFaultTests(ConversationCase):
    """One fault on one datagram, for each datagram of each conversation."""

    def each(self, fault: Fault) -> Iterator[tuple[Host, Host]]:
        """Run all conversations that end with an association, each datagram in turn suffering ``fault``."""
        for ours, theirs, datagrams in AGREEING:
            for number in range(1, datagrams + 1):
                self.anew()
                node, home = self.pair(ours, theirs)
                self.network.faults = [nth(number, fault)]
                self.established(node, home)
                yield node, home
                self.assertEqual((len(node.node.associations), len(home.node.associations)), (1, 1))

    def test_the_loss_of_each_message_is_made_good(self) -> None:
        for _node, home in self.each(lose):
            self.assertLessEqual(self.network.monotonic, 5)
            self.assertEqual([name for name in home.counters if name.startswith("dropped")], [])

    def test_each_message_may_come_twice(self) -> None:
        for node, home in self.each(duplicate):
            for host in (node, home):
                stored = [unit for unit in host.units if any(isinstance(part, PutAssociation) for part in unit)]
                self.assertEqual(len(stored), 1)
            self.assertEqual(len(node.ready), 1)

    def test_each_message_may_come_late(self) -> None:
        for seconds in (0.6, 4.0, 20.0):
            for _ in self.each(late(seconds)):
                self.network.run(25)

    def test_refusals_get_through_whatever_is_lost_or_doubled(self) -> None:
        for ours, theirs, datagrams in REFUSING:
            for number in range(1, datagrams + 1):
                for fault in (lose, duplicate, late(0.7)):
                    self.anew()
                    node, home = self.pair(ours, theirs)
                    self.network.faults = [nth(number, fault)]
                    node.want(home)
                    self.network.run_until(partial(node.told, NegotiationRefused), within=5)
                    self.assertEqual(node.told(NegotiationRefused)[0].by, home.nai)
                    self.assertEqual(len(home.told(NegotiationRefused)), 1)

    def test_two_losses_in_one_conversation(self) -> None:
        for first in range(1, 5):
            for second in range(first, 7):
                self.anew()
                node, home = self.pair(TWO_ROUNDS, AES)
                self.network.faults = [nth(first, lose), nth(second, lose)]
                self.established(node, home)

    def test_everything_may_come_three_times_and_out_of_order(self) -> None:
        for ours, theirs, _ in AGREEING:
            self.anew()
            node, home = self.pair(ours, theirs)

            def scattered(datagram: Datagram) -> Iterator[Datagram]:
                for seconds in (0.9, 0.0, 0.4):
                    yield from late(seconds)(datagram)

            self.network.faults = [scattered]
            self.established(node, home)
            self.assertEqual((len(node.node.associations), len(home.node.associations)), (1, 1))


class ForgedTests(ConversationCase):
    """What nobody could have authenticated: it leaves no trace but a count, and the conversation goes on."""

    def traceless(self, host: Host, forgeries: Iterator[bytes]) -> int:
        """Let each forgery arrive and check that it changes nothing and is counted; return how many there were."""
        before, number = host.tables(), 0
        for octets in forgeries:
            number += 1
            reports, counts, said = len(host.reports), _counts(host), len(self.network.sent)
            host.receive(octets, STRANGER)
            self.assertEqual(_counts(host), counts + 1, octets.hex())
            if host.tables() != before:
                self.assertEqual(host.tables(), before, octets.hex())
            self.assertLessEqual(
                {answer.label for answer in self.network.sent[said:]}, {"VERSIONS", "UNKNOWN"}, octets.hex()
            )
            self.assertLessEqual(len(host.reports), reports + 1)
        return number

    def test_rubbish_of_every_size_is_counted_and_dropped(self) -> None:
        node, home = self.pair()
        node.want(home)
        sizes = [*range(64), 127, 128, 767, 768, 769, 8191, 8192, 8193, 65507]
        for host in (node, home):
            for start in (
                b"",
                b"\xff",
                b"\xff\x10\0\1",
                b"\xff\x11\0\2",
                b"\xff\x10\0\5",
                b"\xff\x11\0\6",
                b"\xff\x10\0\7",
            ):
                self.traceless(host, ((start + node.entropy(size))[:size] for size in sizes))
        self.network.run(2)
        self.assertConversation(node, home)


def _counts(host: Host) -> int:
    """Return how many messages were dropped or let pass."""
    noise = ("answers-unexpected", "retransmissions")
    return sum(count for name, count in host.counters.items() if name.startswith("dropped.") or name in noise)
