"""What attackers on the hops, agents of theirs, and nodes of theirs try: nothing comes of it but a counter."""

from __future__ import annotations

from typing import Any

from attrs import evolve

from seckex.crypto.kem import KemKey
from seckex.crypto.secrets import Secret
from seckex.errors import AuthenticationFailed
from seckex.events.home_agent import RequestUnheard
from seckex.roles.home_agent import Limits
from seckex.roles.home_agent.recognition import recognize
from seckex.wire import hop
from seckex.wire.mobileip import SIZES, decode_agent_request, decode_home_reply
from seckex.wire.numbers import Code, Kem
from tests.roaming.certificates import identity
from tests.roles.home_agent.parts import AGENT, KDC, OTHER, OTHER_AGENT, Agent, Node, Table, read

FAILED = Code.FAILED_AUTHENTICATION
AGENT_FAILED = Code.AGENT_FAILED_AUTHENTICATION


class ReplayTests(Table):
    def setUp(self) -> None:
        super().setUp()
        self.start()
        self.first = self.request()
        self.relayed = self.agent.relay(self.first.octets)
        self.reply = self.answered(hop.Relayed, self.relay(self.relayed.octets))

    def test_the_same_octets_get_the_same_reply(self) -> None:
        before = self.everything()
        again = self.answered(hop.Relayed, self.relay(self.relayed.octets))
        self.assertEqual(again.message, self.reply.message)
        self.assertNotEqual(again.identification, self.reply.identification)
        self.assertEqual((self.everything(), self.home.counters["repeated"]), (before, 1))

    def test_after_a_restart_as_well(self) -> None:
        self.start()
        again = self.answered(hop.Relayed, self.relay(self.relayed.octets))
        self.assertEqual(again.message, self.reply.message)

    def test_by_whomever_they_come(self) -> None:
        again = self.answered(hop.Relayed, self.relay(self.relayed.octets, "aaa@visited.example"))
        self.assertEqual(again.message, self.reply.message)

    def test_the_same_request_with_other_shares_is_to_begin_anew(self) -> None:
        for agent in (self.agent, Agent(identity(AGENT))):
            self.unheard(agent.relay(self.first.octets).octets, Code.BEGIN_ANEW, "begin-anew")

    def test_long_after_it_is_a_replay(self) -> None:
        for _ in range(2):
            self.later(301)
            self.assertEqual(self.home.counters["replies"], 0)
            self.unheard(self.relayed.octets, FAILED, "node-authentication")
            self.unheard(self.agent.relay(self.first.octets).octets, FAILED)
            self.start()

    def test_a_fallback_is_not_heard_twice_either(self) -> None:
        request = self.request(fallback=True)
        self.relay(self.agent.relay(request.octets).octets)
        self.later(301)
        self.unheard(self.agent.relay(request.octets).octets, FAILED, "replay")

    def test_an_index_is_used_once_even_for_another_request(self) -> None:
        self.node.chain = Node.provisioned().chain
        request = self.request(fallback=True)
        self.unheard(self.agent.relay(request.octets).octets, FAILED, "replay")

    def test_an_index_that_makes_no_sense(self) -> None:
        for changes in ({"index": 65_538, "fallback": True}, {"index": 0xFFFFFFFF, "fallback": True}, {"index": 4}):
            request = self.request(**changes)
            self.unheard(self.agent.relay(request.octets).octets, FAILED, "index")
        self.assertEqual(self.register(index=65_537, fallback=True)[1].answer.code, 0)

    def test_at_the_limit_the_oldest_reply_is_forgotten_and_its_request_a_replay(self) -> None:
        self.start(limits=Limits(replies=2))
        for _ in range(2):
            self.register()
        self.assertEqual(self.home.counters["replies"], 2)
        self.unheard(self.relayed.octets, FAILED)
        self.wait(60)
        self.assertEqual(len([name for kind, name in self.store.records if kind == "ha.reply"]), 2)


class AlteredTests(Table):
    def setUp(self) -> None:
        super().setUp()
        self.start()

    def test_a_flipped_bit_anywhere_is_found_out(self) -> None:
        request = self.request()
        octets = self.agent.relay(request.octets).octets
        for at in range(0, len(octets), 7):
            altered = octets[:at] + bytes((octets[at] ^ 0x10,)) + octets[at + 1 :]
            before = self.everything()
            self.answered(hop.NotRelayed, self.relay(altered))
            self.assertEqual(self.everything(), before, at)
        self.assertIsInstance(self.relay(octets)[0], hop.Relayed)

    def test_an_agent_can_alter_nothing_of_the_nodes(self) -> None:
        request = self.request()
        for at in range(0, len(request.octets), 5):
            altered = request.octets[:at] + bytes((request.octets[at] ^ 0x10,)) + request.octets[at + 1 :]
            before = self.everything()
            try:
                message = self.agent.relay(altered).octets
            except AssertionError:
                continue
            self.answered(hop.NotRelayed, self.relay(message))
            self.assertEqual(self.everything(), before, at)
        self.assertEqual(self.home.counters["registered"], 0)

    def test_cut_short_or_longer_it_is_none(self) -> None:
        octets = self.agent.relay(self.request().octets).octets
        for altered in (octets[:-1], octets[:1152], octets + b"\0", octets[1152:], octets[:100]):
            self.unheard(altered, Code.POORLY_FORMED, "malformed")


class SpliceTests(Table):
    """Parts of one registration in another."""

    def setUp(self) -> None:
        super().setUp()
        self.start()
        self.other = Agent(identity(OTHER_AGENT))

    def test_shares_of_another_agent(self) -> None:
        request = self.request()
        mine, theirs = self.agent.relay(request.octets), self.other.relay(request.octets)
        spliced = mine.octets[:1152] + theirs.octets[1152:]
        self.unheard(spliced, AGENT_FAILED, "agent-name")

    def test_a_request_in_place_of_another(self) -> None:
        one, other = self.request(), self.request()
        mine, theirs = self.agent.relay(one.octets), self.agent.relay(other.octets)
        self.unheard(one.octets + theirs.octets[1152:], AGENT_FAILED, "agent-signature")
        self.unheard(other.octets + mine.octets[1152:], AGENT_FAILED, "agent-signature")

    def test_another_agent_cannot_have_what_was_said_to_the_first(self) -> None:
        request = self.request()
        stolen = self.other.relay(request.octets).octets
        self.unheard(stolen, AGENT_FAILED, "agent-name")

    def test_the_identity_of_one_request_in_another(self) -> None:
        one, other = self.request(), self.request()
        sealed = slice(len(one.octets) - 22 - 272, len(one.octets) - 22)
        spliced = other.octets[: sealed.start] + one.octets[sealed] + other.octets[sealed.stop :]
        self.unheard(self.agent.relay(spliced).octets, FAILED)

    def test_the_static_share_of_one_request_in_another(self) -> None:
        one, other = self.request(), self.request()
        at = one.octets.index(one.parts.ciphertext)
        spliced = other.octets[:at] + one.parts.ciphertext + other.octets[at + 32 :]
        self.unheard(self.agent.relay(spliced).octets, FAILED)

    def test_a_reply_is_of_one_request_and_one_agent(self) -> None:
        one, other = self.request(), self.request()
        mine = self.agent.relay(one.octets)
        first = decode_home_reply(self.answered(hop.Relayed, self.relay(mine.octets)).message)
        theirs = self.agent.relay(other.octets)
        self.relay(theirs.octets)
        for request, shares in ((other, mine.shares.data), (one, theirs.shares.data)):
            self.assertRaises(AuthenticationFailed, read, request, first, shares)
        self.assertRaises(AuthenticationFailed, self.other.read, one.octets, mine, first.octets)
        self.assertEqual(read(one, first, mine.shares.data).answer.code, 0)

    def test_a_node_cannot_register_another(self) -> None:
        self.node = Node.provisioned(OTHER)
        self.centers[KDC].nodes[OTHER] = self.node.entry(2)
        self.wait(31)
        mine = Node.provisioned()
        for fallback in (False, True):
            request = self.request(named=mine.nai, fallback=fallback)
            self.unheard(self.agent.relay(request.octets).octets, FAILED)
        self.assertEqual(self.home.counters["bound"], 0)


class ShareTests(Table):
    """Values that are no shares, or that lead to secrets that anybody knows."""

    def setUp(self) -> None:
        super().setUp()
        self.start()

    def test_of_the_node(self) -> None:
        for changes in ({"x": bytes(32)}, {"ciphertext": bytes(32)}, {"x": b"\1" + bytes(31)}):
            request = self.request(**changes)
            self.unheard(self.agent.relay(request.octets).octets, Code.BAD_KEY_SHARE, "share")
        self.assertEqual(self.register()[1].answer.code, 0)

    def test_of_the_agent(self) -> None:
        request = self.request()
        self.unheard(self.agent.relay(request.octets, z=bytes(32)).octets, Code.BAD_KEY_SHARE, "share")
        # Nothing came of it: the node may still be heard through an agent that does better.
        self.assertIsInstance(self.relay(self.agent.relay(request.octets).octets)[0], hop.Relayed)

    def test_of_the_other_kem(self) -> None:
        number = Kem.X25519_ML_KEM_768
        sizes = SIZES[number]
        for changes in ({"x": b"\xff" * sizes.public}, {"ciphertext": bytes(sizes.ciphertext)}):
            request = self.request(number=number, **changes)
            self.unheard(self.agent.relay(request.octets, number).octets, Code.BAD_KEY_SHARE, "share")


class FloodTests(Table):
    def test_what_cannot_be_believed_is_told_of_sparingly(self) -> None:
        self.start()
        for _ in range(50):
            self.relay(b"\1" * 30)
        self.assertEqual(len(self.told(RequestUnheard)), 10)
        self.assertEqual(self.home.counters["dropped.malformed"], 50)
        self.wait(6)
        self.relay(b"\1" * 30)
        self.assertEqual(self.told(RequestUnheard)[-1].suppressed, 40)

    def test_too_many_at_once_are_refused(self) -> None:
        self.start(limits=Limits(under_way=1))
        self.hold()
        self.relay(self.agent.relay(self.request().octets).octets)
        self.unheard(self.agent.relay(self.request().octets).octets, Code.INSUFFICIENT_RESOURCES, "full")

    def test_whatever_neighbours_say_nothing_is_raised(self) -> None:
        self.start()
        before = self.everything()
        for octets in (b"", b"\xff" * 16, bytes(16), b"\xff\0\0\x11" + bytes(12)):
            self.run_(self.home.heard(AGENT, octets, self.now()))
        self.assertEqual((self.everything(), self.home.counters["dropped.malformed"]), (before, 4))


class OracleTests(Table):
    """What an agent that has turned learns of nodes by asking once more, with requests that it has kept."""

    def setUp(self) -> None:
        super().setUp()
        self.start()

    def refusal(self, message: bytes) -> tuple[int, str]:
        """Return all that an agent is told of a message that has no reply."""
        detail = self.answered(hop.NotRelayed, self.relay(message)).detail
        return detail.code, detail.text

    def test_a_request_that_was_answered_does_not_tell_whether_it_was_the_fallbacks(self) -> None:
        kept = []
        for fallback in (False, True):
            kept.append(self.request(fallback=fallback).octets)
            self.relay(self.agent.relay(kept[-1]).octets)
            self.later(301)
        ordinary, fallback_ = (self.refusal(self.agent.relay(octets).octets) for octets in kept)
        self.assertEqual(ordinary, fallback_)

    def test_nor_when_its_node_registers_again(self) -> None:
        request = self.request(fallback=True)
        relayed = self.agent.relay(request.octets)
        self.read(request, relayed, self.relay(relayed.octets))
        self.later(301)
        before = self.refusal(self.agent.relay(request.octets).octets)
        # Under the root that has come of the first registration: that one's root is not taken any more.
        self.register(Agent(identity(OTHER_AGENT)))
        self.assertEqual(self.refusal(self.agent.relay(request.octets).octets), before)

    def test_what_it_held_back_can_be_tried_but_once(self) -> None:
        # With a share that is none nothing comes of it: it could be asked again and again whether it would still do.
        for fallback in (False, True):
            held = self.request(fallback=fallback).octets
            before = self.refusal(self.agent.relay(held, z=bytes(32)).octets)
            self.assertEqual(before[0], Code.BAD_KEY_SHARE)
            self.register(Agent(identity(OTHER_AGENT)))
            self.assertEqual(self.refusal(self.agent.relay(held, z=bytes(32)).octets), before)

    def test_as_much_is_opened_for_either_form_and_either_static_key(self) -> None:
        self.later(7 * 86400)
        young, old = self.home.home.statics.of(Kem.X25519)
        opened: list[object] = []
        for static in (young, old):
            for fallback in (False, True):
                request = self.request(static=static.told, fallback=fallback)
                asked = decode_agent_request(self.agent.relay(request.octets).octets)
                keys: list[Any] = [Spied(each.key, opened) for each in (young, old)]
                spied = [evolve(each, key=key) for each, key in zip((young, old), keys, strict=True)]
                found = recognize(asked.request, self.home.home.nodes, spied)
                self.assertEqual((found.fallback, len(opened)), (fallback, 2))
                opened.clear()
                self.relay(asked.octets)


class Spied:
    """A static key that tells when it is used."""

    def __init__(self, key: KemKey, opened: list[object]) -> None:
        self._key = key
        self._opened = opened

    def open(self, ciphertext: bytes) -> Secret:
        self._opened.append(self)
        return self._key.open(ciphertext)


class SubscriberTests(Table):
    """What a node that is known and has turned can do to others."""

    def setUp(self) -> None:
        super().setUp()
        self.start()

    def test_registering_all_the_time_leaves_no_more_than_registering_once(self) -> None:
        for _ in range(200):
            self.register()
        self.assertLess(len(self.home.home._ends), 100)
        self.wait(1801)
        self.assertEqual(self.home.counters["bound"], 0)
