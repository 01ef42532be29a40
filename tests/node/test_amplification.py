"""No answer over UDP is longer than what it answers, whatever that is and however it is cut."""

from __future__ import annotations

from seckex.machine import Path
from seckex.node.limits import Flood, Limits
from seckex.wire.numbers import MAX_DATAGRAM, Kind
from tests.conversation import AES, CHACHA, ConversationCase
from tests.exchange.test_faults import NOTHING, TWO_ROUNDS
from tests.pump import CALM, Host

STRANGER = Path("203.0.113.66", 4434)


class AmplificationTests(ConversationCase):
    """The network checks each answer; here it is made to see every kind of request, and is checked itself."""

    def requests(self) -> dict[Kind, bytes]:
        """Return a request of each kind, from conversations of which the responder knows."""
        found = {}
        for ours, theirs in ((TWO_ROUNDS, AES), (CHACHA, AES), (AES, NOTHING)):
            self.anew()
            node, home = self.pair(ours, theirs)
            node.want(home)
            self.network.run(1)
            for datagram in self.network.sent:
                if not datagram.octets[1] & 1:
                    found[Kind(int.from_bytes(datagram.octets[2:4], "big"))] = datagram.octets
        self.assertEqual(set(found), {Kind.OFFER, Kind.CONFIRM, Kind.ABANDON})
        return found

    def ratio(self, host: Host, octets: bytes) -> float:
        said = len(self.network.sent)
        host.receive(octets, STRANGER)
        self.network.run(0.1)
        answers = [datagram.octets for datagram in self.network.sent[said:] if datagram.destination == STRANGER]
        return sum(map(len, answers)) / max(len(octets), 1)

    def test_every_kind_at_every_length(self) -> None:
        for flood in (CALM, Flood(cookies="always")):
            for kind, octets in self.requests().items():
                self.anew()
                node, home = self.pair(TWO_ROUNDS, AES, Limits(flood=flood))
                self.established(node, home)
                heard = {datagram.octets for datagram in self.network.sent if not datagram.octets[1] & 1}
                for request in (octets, *heard):
                    for version in (0x10, 0x20):
                        altered = request[:1] + bytes((version,)) + request[2:]
                        for size in range(0, len(altered) + 1, 3):
                            self.assertLessEqual(self.ratio(home, altered[:size]), 1.0, (kind, size))

    def test_every_answer_to_whoever_did_not_ask(self) -> None:
        node, home = self.pair(TWO_ROUNDS, AES, Limits(flood=Flood(cookies="always")))
        self.established(node, home)
        for datagram in list(self.network.sent):
            for host in (node, home):
                self.assertLessEqual(self.ratio(host, datagram.octets), 1.0)

    def test_rubbish(self) -> None:
        _, home = self.pair(AES, AES, Limits(flood=Flood(cookies="always")))
        for size in range(0, MAX_DATAGRAM + 8, 7):
            for start in (b"", b"\xff\x10\x00\x01", b"\xff\x20\x00\x01", b"\xff\x10\x00\x05"):
                self.assertLessEqual(self.ratio(home, (start + bytes(size))[:size]), 1.0)

    def test_the_network_would_see_it(self) -> None:
        _, home = self.pair()
        self.assertRaises(
            self.failureException.__mro__[1],
            home._check_answer,
            b"\xff\x11\x00\x02" + bytes(60),
            STRANGER,
            (STRANGER, 63),
        )
