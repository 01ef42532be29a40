"""Two houses that never meet, and a relay between them that holds none of their keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from seckex.crypto.envelope import sign_prove
from seckex.crypto.identity import Identity
from seckex.crypto.suites import SHA256
from seckex.delivery.faces import Outgoing, Stage
from seckex.delivery.relaying import digest_of
from seckex.errors import AuthenticationFailed, Malformed
from seckex.events.messages import EnvelopesExpired, RelayRefused
from seckex.wire.envelope import decode_envelope
from seckex.wire.envelope_headers import Routing
from seckex.wire.numbers import MOST_HOPS, Code, NoticeWhat
from seckex.wire.units import Gone, Hello, Notice, Prekeys, Prove, Unit, decode_unit, encode_unit, is_envelope
from tests.delivery.table import HOME, NODE, RELAY, Host, Table, Wire
from tests.roaming.certificates import identity


class RelayCase(SynchronousTestCase):
    bounds: ClassVar[dict[str, float]] = {}

    def setUp(self) -> None:
        self.table = Table(self.id())
        self.node, self.home, self.relay = self.table.behind_a_relay(**self.bounds)

    def stage(self, host: Host, dialog_id: bytes, stage: Stage) -> int:
        return host.stages.get((dialog_id.hex(), stage), 0)

    def check_got(self, host: Host, *payloads: bytes) -> None:
        self.assertEqual(host.payloads(), list(payloads))

    def units(self, host: Host) -> list[object]:
        """Return what a host has said beside envelopes."""
        return [decode_unit(octets) for octets in host.said if not is_envelope(octets)]

    def envelopes(self, host: Host) -> list[bytes]:
        """Return the envelopes that a host has said."""
        return [octets for octets in host.said if is_envelope(octets)]

    def notices(self, host: Host, what: NoticeWhat) -> list[Notice]:
        return [each for each in self.units(host) if isinstance(each, Notice) and each.what is what]

    def meet(self) -> None:
        """Have home collect for the first time, so that the relay knows its prekeys."""
        self.table.advance(1)

    def leave(self, host: Host) -> None:
        """End what leads to a host, and let it come back no more."""
        self.table.away.add(host.nai)
        for wire in list(host.wires.values()):
            self.table.cut(wire)

    def comes_back(self, host: Host) -> None:
        self.table.away.discard(host.nai)
        self.table.advance(6)


class DeliveryTests(RelayCase):
    """home collects from the relay; node deposits there, and collects what home answers."""

    def test_messages_go_there_and_answers_come_back(self) -> None:
        self.meet()
        self.home.receive("orders")
        self.node.receive("answers")
        dialog = self.node.send(HOME, "orders", b"one", b"two", own="answers")
        self.table.advance(2)
        self.check_got(self.home, b"one", b"two")
        for stage in Stage:
            self.assertEqual(self.stage(self.node, dialog, stage), 2, stage)
        self.home.house.send(dialog, [_outgoing(b"thanks")], self.home.now())
        self.table.advance(2)
        self.check_got(self.node, b"thanks")
        self.assertEqual(self.stage(self.home, dialog, Stage.PROCESSED), 1)
        self.assertEqual(len(self.relay.house.relaying), 0)

    def test_what_is_deposited_waits_for_who_is_not_there(self) -> None:
        self.meet()
        self.leave(self.home)
        dialog = self.node.send(HOME, "orders", b"one")
        self.table.advance(2)
        for number in range(20):
            self.node.send(HOME, "orders", b"%d" % number)
            self.table.advance(1)
        # Nothing waits for headers to be held, and what the relay keeps is not sent again.
        self.assertEqual(len(self.envelopes(self.node)), 22)
        self.table.advance(600)
        self.assertEqual(len(self.envelopes(self.node)), 22)
        self.assertEqual(len(self.notices(self.relay, NoticeWhat.KEPT)), 22)
        self.assertEqual(self.stage(self.node, dialog, Stage.DELIVERED), 0)
        self.home.receive("orders")
        self.comes_back(self.home)
        self.check_got(self.home, b"one", *(b"%d" % number for number in range(20)))
        self.assertEqual(self.stage(self.node, dialog, Stage.PROCESSED), 21)

    def test_they_are_never_there_at_the_same_time(self) -> None:
        self.meet()
        self.leave(self.home)
        self.node.receive("answers")
        dialog = self.node.send(HOME, "orders", b"one", own="answers")
        self.table.advance(2)
        self.leave(self.node)
        self.home.receive("orders")
        self.comes_back(self.home)
        self.check_got(self.home, b"one")
        self.home.house.send(dialog, [_outgoing(b"thanks")], self.home.now())
        self.table.advance(2)
        self.leave(self.home)
        self.comes_back(self.node)
        self.check_got(self.node, b"thanks")
        self.assertEqual(self.stage(self.node, dialog, Stage.PROCESSED), 1)

    def test_prekeys_are_those_that_home_has_told_the_relay(self) -> None:
        # Nobody has told any yet, so nothing can be sealed.
        self.leave(self.home)
        dialog = self.node.send(HOME, "orders", b"one")
        self.table.advance(5)
        self.assertEqual(self.envelopes(self.node), [])
        self.assertIn("no prekey", self.node.house.why(dialog.hex()[:12], self.node.now())["dialog"]["why"])  # type: ignore[index]  # it is known
        self.home.receive("orders")
        self.comes_back(self.home)
        self.table.advance(20)
        self.check_got(self.home, b"one")

    def test_the_relay_knows_prekeys_after_a_crash(self) -> None:
        self.meet()
        self.leave(self.home)
        self.relay.crash()
        self.relay.start()
        self.node.send(HOME, "orders", b"one")
        self.table.advance(2)
        # What was sent, and that its sender is there.
        self.assertEqual(len(self.relay.house.relaying), 2)

    def test_a_relay_cannot_make_prekeys_up(self) -> None:
        self.meet()
        self.leave(self.home)
        self.relay.house.relaying._told[HOME] = tuple(self.relay.vault.told_prekeys(0))
        self.node.send(HOME, "orders", b"one")
        self.table.advance(60)
        self.assertEqual(self.envelopes(self.node), [])

    def test_long_messages_go_in_fragments(self) -> None:
        self.meet()
        self.home.receive("orders")
        payload = bytes(range(256)) * 800
        dialog = self.node.send(HOME, "orders", payload)
        self.table.advance(60)
        self.check_got(self.home, payload)
        self.assertEqual(self.stage(self.node, dialog, Stage.PROCESSED), 1)

    def test_a_long_message_waits_as_well(self) -> None:
        self.meet()
        self.leave(self.home)
        payload = bytes(range(256)) * 8000
        dialog = self.node.send(HOME, "orders", self.node.spooled(payload))
        self.table.advance(60)
        self.home.receive("orders")
        self.comes_back(self.home)
        self.table.advance(120)
        self.assertEqual(self.home.payloads()[0].size, len(payload))
        self.assertEqual(self.stage(self.node, dialog, Stage.PROCESSED), 1)

    def test_keys_that_end_meanwhile_are_replaced(self) -> None:
        self.meet()
        self.leave(self.home)
        dialog = self.node.send(HOME, "orders", b"one")
        self.table.advance(2)
        self.home.vault.prekeys.clear()
        self.home.vault.new_prekeys()
        self.home.receive("orders")
        self.comes_back(self.home)
        # What was sealed to the former prekey opens no more; its sender has heard of the new one.
        self.check_got(self.home)
        self.table.advance(20)
        self.check_got(self.home, b"one")
        self.assertEqual(self.stage(self.node, dialog, Stage.PROCESSED), 1)


class RestartTests(RelayCase):
    def setUp(self) -> None:
        super().setUp()
        self.meet()
        self.home.receive("orders")
        self.node.receive("answers")
        self.dialog = self.node.send(HOME, "orders", b"one", own="answers")
        self.table.advance(2)
        self.check_got(self.home, b"one")

    def restart(self, host: Host) -> None:
        host.crash()
        host.start()

    def test_of_the_relay(self) -> None:
        self.leave(self.home)
        self.node.send(HOME, "orders", b"two", own="answers")
        self.table.advance(2)
        self.restart(self.relay)
        self.comes_back(self.home)
        self.check_got(self.home, b"one", b"two")

    def test_of_home_with_something_to_say(self) -> None:
        self.leave(self.home)
        self.home.house.send(self.dialog, [_outgoing(b"thanks")], self.home.now())
        self.table.run()
        self.table.away.clear()
        self.restart(self.home)
        self.table.advance(20)
        # Its keys are gone, and it was heard of by node, which spoke.
        self.check_got(self.node, b"thanks")

    def test_of_node_whose_answers_wait(self) -> None:
        self.leave(self.node)
        self.home.house.send(self.dialog, [_outgoing(b"thanks")], self.home.now())
        self.table.advance(2)
        self.table.away.clear()
        self.restart(self.node)
        self.table.advance(40)
        # What waited was sealed for the process before.
        self.check_got(self.node, b"thanks")

    def test_of_the_collector_before_it_has_stored_what_it_was_given(self) -> None:
        self.node.send(HOME, "orders", b"two", own="answers")
        for _ in range(1000):
            if len(self.relay.house.relaying) and len(self.home.got) == 1 and not self.table.step():
                break
            if self.relay.house.relaying.counts["given"] > 1:
                break
            self.table.step()
        self.restart(self.home)
        self.table.advance(40)
        self.check_got(self.home, b"one", b"two")


class BoundsTests(RelayCase):
    bounds: ClassVar[dict[str, float]] = {"envelopes": 3, "keep": 3600.0}

    def test_a_full_relay_refuses_and_is_asked_again(self) -> None:
        self.meet()
        self.leave(self.home)
        for number in range(6):
            self.node.send(HOME, "orders", b"%d" % number)
            self.table.advance(1)
        self.assertEqual(len(self.relay.house.relaying), 3)
        refused = self.notices(self.relay, NoticeWhat.UNKEPT)
        self.assertEqual({each.code for each in refused}, {Code.INSUFFICIENT_RESOURCES})
        self.home.receive("orders")
        self.comes_back(self.home)
        self.table.advance(60)
        self.check_got(self.home, *(b"%d" % number for number in range(6)))

    def test_what_nobody_collects_is_dropped(self) -> None:
        self.meet()
        self.leave(self.home)
        self.node.send(HOME, "orders", b"one")
        self.table.advance(2)
        self.leave(self.node)
        self.table.advance(3700)
        self.assertEqual(len(self.relay.house.relaying), 0)
        self.assertIn(EnvelopesExpired(HOME, 2), self.relay.events)
        self.assertEqual(self.relay.store.load(0, 0.0).kept, ())


class Stranger:
    """Somebody who has called a house and says what he likes; ``heard`` is what he was told."""

    def __init__(self, table: Table, host: Host, meant: str) -> None:
        self.host, self.number = host, 999
        host.wires[self.number] = Wire({host.nai: self.number}, cut=True)
        self.before = len(host.said)
        host.house.connected(self.number, None, host.now())
        self.say(Hello(b"s" * 16, meant, NODE))
        table.run()
        [hello] = [unit for unit in self.heard() if isinstance(unit, Hello)]
        self.path = SHA256.digest(b"seckex1 message path", b"s" * 16, hello.nonce)[:16]

    def say(self, unit: Unit | bytes) -> None:
        octets = unit if isinstance(unit, bytes) else encode_unit(unit)
        self.host.house.unit(self.number, octets, self.host.now())

    def heard(self) -> list[Unit]:
        return [decode_unit(octets) for octets in self.host.said[self.before :] if not is_envelope(octets)]

    def proof(self, of: Identity, relay: str = RELAY) -> Prove:
        return Prove(of.chain, sign_prove(of, self.path, relay))


class AttackTests(RelayCase):
    def setUp(self) -> None:
        super().setUp()
        self.meet()
        self.leave(self.home)
        self.node.send(HOME, "orders", b"one")
        self.table.advance(2)
        self.envelope = self.envelopes(self.node)[-1]
        self.kept = len(self.relay.house.relaying)

    def stranger(self, meant: str = HOME) -> Stranger:
        return Stranger(self.table, self.relay, meant)

    def identity(self, host: Host) -> Identity:
        assert host.vault.identity is not None
        return host.vault.identity

    def check_refused(self, stranger: Stranger, proof: Prove) -> None:
        stranger.say(proof)
        self.table.run()
        self.assertIn(Gone(Code.PROHIBITED, "this is no relay for you"), stranger.heard())
        self.assertIsInstance(self.relay.events[-1], RelayRefused)
        self.assertEqual(len(self.relay.house.relaying), self.kept)

    def test_a_stranger_deposits(self) -> None:
        self.assertRaises(AuthenticationFailed, self.stranger().say, self.envelope)
        self.assertEqual(len(self.relay.house.relaying), self.kept)

    def test_a_stranger_collects(self) -> None:
        stranger = self.stranger(RELAY)
        stranger.say(Notice(NoticeWhat.KEPT, digest=digest_of(self.envelope)))
        self.table.run()
        self.assertEqual(len(self.relay.house.relaying), self.kept)

    def test_a_chain_without_its_key(self) -> None:
        stranger = self.stranger()
        signature = sign_prove(self.identity(self.node), stranger.path, RELAY)
        self.check_refused(stranger, Prove(self.identity(self.home).chain, signature))

    def test_a_proof_of_another_connection(self) -> None:
        self.check_refused(self.stranger(), Prove(self.identity(self.home).chain, self.proofs(self.home)[0].signature))

    def proofs(self, host: Host) -> list[Prove]:
        return [unit for unit in self.units(host) if isinstance(unit, Prove)]

    def test_a_proof_for_another_relay(self) -> None:
        stranger = self.stranger()
        self.check_refused(stranger, stranger.proof(self.identity(self.home), "other@example.org"))

    def test_somebody_for_whom_it_does_not_relay(self) -> None:
        stranger = self.stranger()
        self.check_refused(stranger, stranger.proof(identity("node@example.net")))

    def test_a_depositor_cannot_forget_what_is_anothers(self) -> None:
        stranger = self.stranger()
        stranger.say(stranger.proof(self.identity(self.node)))
        stranger.say(Notice(NoticeWhat.KEPT, digest=digest_of(self.envelope)))
        self.table.run()
        self.assertEqual(len(self.relay.house.relaying), self.kept)

    def test_prekeys_of_somebody_else(self) -> None:
        stranger = self.stranger()
        stranger.say(stranger.proof(self.identity(self.node)))
        self.assertRaises(Malformed, stranger.say, Prekeys(tuple(self.home.vault.told_prekeys(0))))

    def test_a_loop_ends(self) -> None:
        stranger = self.stranger()
        stranger.say(stranger.proof(self.identity(self.node)))
        octets = self.envelope
        for _ in range(MOST_HOPS):
            stranger.say(octets)
            self.table.run()
            octets = self.relay.store.kept(max(each.number for each in self.relay.store.load(0, 0.0).kept)) or b""
        stranger.say(octets)
        self.table.run()
        self.assertEqual(decode_envelope(octets).routing, Routing(0, HOME, NODE))
        self.assertEqual(len(self.relay.house.relaying), self.kept + MOST_HOPS)
        self.assertIn(Code.ROUTING_LOOP, [each.code for each in self.notices(self.relay, NoticeWhat.UNKEPT)])

    def test_a_false_origin(self) -> None:
        stranger = self.stranger()
        stranger.say(stranger.proof(self.identity(self.home)))
        stranger.say(self.envelope)
        self.table.run()
        self.assertEqual([each.code for each in self.notices(self.relay, NoticeWhat.UNKEPT)], [Code.POORLY_FORMED])

    def alter(self, change: Callable[[bytes], bytes]) -> None:
        """Have the relay change what it keeps."""
        held = self.relay.store._held.kept
        for number, envelope in held.items():
            held[number] = evolve(envelope, octets=change(envelope.octets))
        self.relay.store.sync()
        self.relay.crash()
        self.relay.start()
        self.home.receive("orders")
        self.comes_back(self.home)

    def test_the_relay_alters_a_routing_header(self) -> None:
        self.alter(lambda octets: octets.replace(NODE.encode(), b"evil@example.org", 1))
        self.check_got(self.home, b"one")
        self.assertEqual(self.home.got[0].peer, NODE)

    def test_the_relay_alters_an_envelope(self) -> None:
        self.alter(lambda octets: octets[:-1] + bytes([octets[-1] ^ 1]))
        self.check_got(self.home)
        self.assertEqual(len(self.relay.house.relaying), 0)
        # It comes again, since its peer is there.
        self.table.advance(20)
        self.check_got(self.home, b"one")

    def test_the_relay_brings_a_copy(self) -> None:
        self.home.receive("orders")
        self.comes_back(self.home)
        self.check_got(self.home, b"one")
        wire = next(iter(self.home.wires.values()))
        for _ in range(2):
            self.table.carry(wire, self.relay, next(each for each in self.envelopes(self.relay)))
            self.table.run()
        self.home.crash()
        self.home.start()
        self.table.advance(6)
        wire = next(iter(self.home.wires.values()))
        self.table.carry(wire, self.relay, next(each for each in self.envelopes(self.relay)))
        self.table.advance(60)
        self.assertEqual(len({message.number for message in self.home.got}), len(self.home.got))

    def test_a_copy_comes_by_another_connection(self) -> None:
        self.assertRaises(AuthenticationFailed, Stranger(self.table, self.home, HOME).say, self.envelope)


def _outgoing(payload: bytes) -> Outgoing:
    return Outgoing(payload)
