"""Every class of attack on every message of a roaming network, in every mode of keying: a test each.

`MATRIX` is the table: for each message the classes that are tried on it; each cell
becomes a method of `MatrixTests` named for the class and the message. A cell shows
that the attack has no effect but a count or an explanation: nothing that lasts
changes anywhere, and the node comes to be registered with the same keys at all
ends, which nobody else has. What decides nothing by itself (advertisements, ways, refusals of relays) may
cost another try; whatever it says, the node ends up registered as it should be.

On hops the attacker is an AAA server on the way, or, where nobody is on the way, a
stranger with a certificate of his own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from typing import Final

from twisted.trial.unittest import SynchronousTestCase

from seckex.crypto.registration_seals import sign_reply, sign_request
from seckex.crypto.revoking import RevocationKey
from seckex.crypto.secrets import Secret
from seckex.roles.foreign_agent import asked
from seckex.roles.home_agent.syncing import REFRESH
from seckex.sa.association import Association
from seckex.wire.hop import Relay, Route, encode_hop
from seckex.wire.mobileip import decode_node_request
from seckex.wire.numbers import ANSWER_FLAG, ROAMING_KINDS, ExtensionSub, Keying, Kind
from seckex.wire.revocation import decode_signed
from tests.attacks.roaming_forgeries import cuts, data_of, downgrades, flips, pieces, splices, sub_of, swaps, with_data
from tests.attacks.roaming_scenes import ELSEWHERE, SOMEWHERE, STRANGER, VISITS, Stage, Visit
from tests.link import lose, on
from tests.roaming.agreement import missing
from tests.roaming.certificates import identity
from tests.roaming.host import Host
from tests.roaming.knowledge import Ledger
from tests.roaming.world import AGENTS, HOME, World
from tests.simulation.invariants import Invariants

#: What comes and goes without meaning anything: answers that are kept for repetitions.
PASSING: Final = ("ha.reply", "kdc.issued")
#: What any neighbour may tell a center of himself.
TOLD_BY_ANYBODY: Final = "kdc.home-keys"
AFTER: Final = 0.5
CARRIERS: Final = ("RELAY", "RELAYED")


def inner(octets: bytes) -> bytes:
    """Return the registration message that a message over a hop carries."""
    return next(data_of(piece) for piece in pieces(octets)[1:] if sub_of(piece) == ExtensionSub.REGISTRATION_MESSAGE)


def carrying(octets: bytes, message: bytes) -> bytes:
    """Return a message over a hop with another registration message in it."""
    return with_data(octets, ExtensionSub.REGISTRATION_MESSAGE, message)


def outside(octets: bytes) -> bytes:
    """Return what stands before the registration message in a message over a hop."""
    return octets[: octets.index(inner(octets))]


def resigned(octets: bytes, by: str, sign: Callable[[bytes], bytes]) -> bytes:
    """Return a signed message with somebody else's certificate and signature."""
    changed = with_data(octets, ExtensionSub.CERTIFICATES, _chain(by))
    covered = changed[: -len(pieces(changed)[-1])]
    return with_data(changed, ExtensionSub.SIGNATURE, sign(covered))


def _chain(nai: str) -> bytes:
    chain = identity(nai).chain
    return bytes((len(chain),)) + b"".join(len(der).to_bytes(2, "big") + der for der in chain)


class Attacked(SynchronousTestCase):
    """What the cells do and check."""

    def setUp(self) -> None:
        self._watching = ExitStack()
        self.addCleanup(self._watching.close)

    def play(self, visit: Visit, **how: int) -> Stage:
        """Return a network that stops before the message, and is looked at from its beginning on."""
        self._watching.close()

        def watched(world: World) -> None:
            self.invariants = Invariants(world, self._watching.enter_context(Ledger(world.network).watching()))

        return visit.play(watched=watched, **how)

    def completes(self, stage: Stage, *, delivered: bool = True) -> None:
        """Let the real message arrive and check that the node gets registered, with keys that nobody else has."""
        if delivered:
            stage.hears(stage.octets)
        stage.node_registers()
        stage.world.network.run(1)
        stage.node_registers()

    def lasting(self, stage: Stage, only: Host | None = None) -> tuple[object, ...]:
        """Return all that lasts, anywhere or at one host, save for what means nothing."""
        found: list[object] = []
        for host in stage.world.network.hosts.values() if only is None else (only,):
            kept = {
                key: record.octets
                for key, record in host.store.records.items()
                if key[0] not in PASSING and (key[0] != TOLD_BY_ANYBODY or key[1] == HOME.encode())
            }
            associations: list[Association] = list(host.store.associations.values())
            found.append((host.name, kept, associations, sorted(host.adopted)))
        return tuple(found)

    def unmoved(self, stage: Stage, forgeries: Iterable[bytes]) -> int:
        """Let forgeries arrive: nothing that lasts changes; return how many there were."""
        if stage.visit.hint:
            return self.loosely(stage, forgeries)
        before, issued = self.lasting(stage), self.issued(stage)
        count = 0
        for octets in forgeries:
            if octets != stage.octets:
                stage.hears_forged(octets)
                count += 1
        stage.world.network.run(AFTER)
        self.assertEqual(self.lasting(stage), before, stage.world.network)
        self.assertLessEqual(self.issued(stage), issued)
        self.assertGreater(count, 0)
        return count

    def issued(self, stage: Stage) -> set[bytes]:
        """Return the names of the keys that the center has given away."""
        records = stage.world.centers[0].store.records
        return {name for kind, name in records if kind == "kdc.issued"}

    def loosely(self, stage: Stage, forgeries: Iterable[bytes]) -> int:
        """Let some of many forgeries of what decides nothing arrive; what they cost is seen when it completes."""
        every = [octets for octets in forgeries if octets != stage.octets]
        for octets in every[:: max(len(every) // 24, 1)]:
            stage.hears_forged(octets)
        stage.world.network.run(AFTER)
        self.assertGreater(len(every), 0)
        return len(every)

    def each_way(self, visit: Visit, forge: Callable[[bytes], Iterable[bytes]]) -> None:
        """Try forgeries of a message; where it carries another, of that, and then of what is around it."""
        stage = self.play(visit)
        if visit.label in CARRIERS and not visit.hint:
            self.unmoved(stage, (carrying(stage.octets, each) for each in forge(inner(stage.octets))))
            self.completes(stage)
            stage = self.play(visit)
            around = outside(stage.octets)
            rest = stage.octets[len(around) :]
            self.loosely(stage, (each + rest for each in forge(around) if each))
        else:
            self.unmoved(stage, forge(stage.octets))
        self.completes(stage)

    # -- the classes

    def replay_now(self, visit: Visit) -> None:
        stage = self.play(visit)
        self.completes(stage)
        self.again(stage)

    def replay_after_restart(self, visit: Visit) -> None:
        stage = self.play(visit)
        self.completes(stage)
        if stage.receiver is not stage.world.nodes[0]:
            # Who hears that its agent has restarted registers again, which is not what is looked at.
            stage.world.nodes[0].stop()
        stage.receiver.restart()
        # Until the home agent has asked a center that was started anew.
        stage.world.network.run(REFRESH + AFTER)
        self.again(stage)

    def again(self, stage: Stage) -> None:
        """Let the message arrive again, some times, and from elsewhere."""
        before, issued = self.lasting(stage), self.issued(stage)
        for _ in range(3):
            stage.hears(stage.octets)
            if stage.path is not None and stage.path.via == 0:
                stage.receiver.receive(stage.octets, SOMEWHERE)
            else:
                stage.receiver.hear(STRANGER, stage.octets)
        stage.world.network.run(AFTER)
        self.assertEqual(self.lasting(stage), before, stage.world.network)
        self.assertLessEqual(self.issued(stage), issued)

    def reflect(self, visit: Visit) -> None:
        stage = self.play(visit)
        octets = stage.octets
        turned = octets[:1] + bytes((octets[1] ^ ANSWER_FLAG,)) + octets[2:]
        other = bytes((octets[0] ^ 2,)) + octets[1:]
        before = self.lasting(stage)
        for each in (octets, turned, other, *downgrades(octets)):
            if stage.path is None:
                stage.sender.hear(stage.receiver.nai, each)
            else:
                self.to_ports(stage, stage.sender, each)
        stage.world.network.run(AFTER)
        if not visit.hint:
            self.assertEqual(self.lasting(stage), before)
        self.completes(stage)

    def to_ports(self, stage: Stage, host: Host, octets: bytes) -> None:
        """Have octets arrive at every port that a host has, as if the receiver had said them."""
        for listener in [each for each in stage.world.network.listeners.values() if each.host is host]:
            host.receive(octets, stage.receiver.path._replace(via=listener.via))

    def reorder(self, visit: Visit) -> None:
        # What is sent again overtakes it.
        stage = self.play(visit)
        stage.world.network.run(1.7)
        self.completes(stage)
        stage = self.play(visit)
        network = stage.world.network
        # All that was said before comes again, from behind.
        hosts = {host.nai: host for host in network.hosts.values()}
        for parcel in [each for each in network.told if each.octets != stage.octets][::-1]:
            hosts[parcel.receiver].hear(parcel.sender, parcel.octets)
        for datagram in [each for each in network.sent if each.octets != stage.octets][::-1]:
            network.deliver(datagram, ("cell1",))
        network.run(0.05)
        self.completes(stage)

    def truncate(self, visit: Visit) -> None:
        self.each_way(visit, cuts)

    def drop(self, visit: Visit) -> None:
        self.completes(self.play(visit, times=2), delivered=False)

    def duplicate(self, visit: Visit) -> None:
        stage = self.play(visit)
        stage.hears(stage.octets)
        self.completes(stage)
        self.again(stage)

    def splice_two_sessions(self, visit: Visit) -> None:
        other = self.play(visit, seed=2).octets
        if visit.label in CARRIERS and not visit.hint:
            stage = self.play(visit)
            forged = [carrying(stage.octets, each) for each in splices(inner(stage.octets), inner(other))]
            self.unmoved(stage, [*forged, carrying(stage.octets, inner(other)), other])
        else:
            stage = self.play(visit)
            self.unmoved(stage, [*splices(stage.octets, other), *splices(other, stage.octets), other])
        self.completes(stage)

    def swap_two_sealed_parts(self, visit: Visit) -> None:
        self.each_way(visit, swaps)

    def flip_every_bit(self, visit: Visit) -> None:
        self.each_way(visit, flips)

    def downgrade(self, visit: Visit) -> None:
        self.each_way(visit, downgrades)

    def wrong_agent(self, visit: Visit) -> None:
        """Have it arrive at everybody whom it is not for, and from who was not asked."""
        stage = self.play(visit, agents=2)
        before = self.lasting(stage)
        for host in stage.world.network.hosts.values():
            if host.house is None or (host is stage.receiver and visit.hint):
                continue
            if stage.path is not None:
                if host is not stage.receiver:
                    self.to_ports(stage, host, stage.octets)
                continue
            for neighbour in (STRANGER, *AGENTS):
                # A request may come over any hop: it is the same request.
                if neighbour != stage.sender.nai and not (host is stage.receiver and visit.label == "RELAY"):
                    host.hear(neighbour, stage.octets)
        stage.world.network.run(AFTER)
        if not visit.hint and visit.label != "RELAY":
            self.assertEqual(self.lasting(stage), before, stage.world.network)
        self.completes(stage)

    def unknown_key_share(self, visit: Visit) -> None:
        """Somebody gives it out as his own, who has a certificate, or is a subscriber himself."""
        if visit.label == "REPLY":
            self.reply_to_another(visit)
            return
        stage = self.play(visit, agents=2)
        home, before = stage.world.home, self.lasting(stage)
        for nai in (AGENTS[1], STRANGER):
            for each in self.as_his_own(stage, nai):
                if visit.label == "REQUEST":
                    home.hear(nai, each)
                else:
                    stage.hears_forged(each)
        stage.world.network.run(AFTER)
        if not visit.hint:
            self.assertEqual(self.lasting(stage), before, stage.world.network)
        self.completes(stage)

    def as_his_own(self, stage: Stage, nai: str) -> list[bytes]:
        """Return what somebody makes of the message in his own name."""
        octets, own = stage.octets, identity(nai)
        if stage.visit.label == "REQUEST":
            terms = stage.world.terms["agent2"]["agent"]
            request = decode_node_request(octets)
            shares = asked.compose(request, terms, lambda _spi: False).message
            said = [shares, resigned(shares, nai, lambda covered: sign_request(own, covered, HOME))]
            return [encode_hop(Relay(number, Route(8, HOME, (nai,)), each)) for number, each in enumerate(said)]
        if stage.visit.label == "RELAY" and not stage.visit.hint:
            return [carrying(octets, resigned(inner(octets), nai, lambda covered: sign_request(own, covered, HOME)))]
        if stage.visit.label in ("REVOCATION", "REVOKED"):
            # Of a registration of his own.
            return [RevocationKey(Secret(bytes(32))).sign(decode_signed(octets).said)]
        if stage.visit.label == "RELAYED":
            agent = stage.world.agents[0].nai
            relayed = next(p.octets for p in stage.world.network.told if p.label == "RELAY" and p.sender == agent)
            signed = resigned(inner(octets), nai, lambda covered: sign_reply(own, agent, inner(relayed), covered))
            return [carrying(octets, signed)]
        return [octets]

    def reply_to_another(self, visit: Visit) -> None:
        """Have a reply arrive at another node that awaits one."""
        stage = self.play(visit, nodes=2)
        world, network = stage.world, stage.world.network
        network.faults.append(on("REPLY", lose, 10**6))
        world.provision(world.nodes[1])
        world.nodes[1].start()
        network.run_until(lambda: network.sent[-1].label == "REQUEST" and network.sent[-1].source.host.endswith("102"))
        before = self.lasting(stage, world.nodes[1])
        self.to_ports(stage, world.nodes[1], stage.octets)
        network.run(0.2)
        self.assertEqual(self.lasting(stage, world.nodes[1]), before)
        network.faults.clear()
        self.completes(stage)
        network.run_until(lambda: not missing(world, world.nodes[1]), 300)


A = Attacked

CLASSES: Final[Mapping[str, Callable[[Attacked, Visit], None]]] = {
    "replay_now": A.replay_now,
    "replay_after_restart": A.replay_after_restart,
    "reflect": A.reflect,
    "reorder": A.reorder,
    "truncate": A.truncate,
    "drop": A.drop,
    "duplicate": A.duplicate,
    "splice_two_sessions": A.splice_two_sessions,
    "swap_two_sealed_parts": A.swap_two_sealed_parts,
    "flip_every_bit": A.flip_every_bit,
    "downgrade": A.downgrade,
    "wrong_agent": A.wrong_agent,
    "unknown_key_share": A.unknown_key_share,
}

ALL: Final = tuple(CLASSES)

#: For each message the classes that are tried on it.
MATRIX: Final[Mapping[str, tuple[str, ...]]] = {
    "REQUEST": ALL,
    "REPLY": ALL,
    "SOLICITATION": ALL,
    "ADVERTISEMENT": ALL,
    "RELAY": ALL,
    "RELAYED": ALL,
    "NOT_RELAYED": ALL,
    "KEYS": ALL,
    "ISSUED": ALL,
    "NOT_ISSUED": ALL,
    "NODES": ALL,
    "ENTRIES": ALL,
    "CHANGED": ALL,
    "TRACE": ALL,
    "TRACED": ALL,
    "REVOCATION": ALL,
    "REVOKED": ALL,
}


class MatrixTests(Attacked):
    """A test for each cell, made below."""


def _cell(attack: Callable[[Attacked, Visit], None], visit: Visit) -> Callable[[MatrixTests], None]:
    def test(self: MatrixTests) -> None:
        attack(self, visit)
        self.invariants.look_around()

    return test


for _visit in VISITS:
    for _class in MATRIX[_visit.label]:
        setattr(MatrixTests, f"test_{_class}_{_visit}", _cell(CLASSES[_class], _visit))


class CompletenessTests(SynchronousTestCase):
    def test_every_message_has_its_row(self) -> None:
        self.assertEqual(set(MATRIX), {kind.name for kind in ROAMING_KINDS} | {"REQUEST", "REPLY"})
        self.assertTrue(all(isinstance(kind, Kind) for kind in ROAMING_KINDS))

    def test_every_message_is_tried_in_every_mode_that_it_depends_on(self) -> None:
        once = {visit.label for visit in ELSEWHERE} - {"RELAY"}
        for label in MATRIX:
            modes = {visit.keying for visit in VISITS if visit.label == label}
            if label in ("KEYS", "ISSUED", "NOT_ISSUED"):
                self.assertEqual(modes, {Keying.STATEFUL, Keying.SEMI_STATEFUL})
            elif label not in once:
                self.assertEqual(modes, set(Keying), label)
            self.assertTrue(modes)

    def test_every_cell_has_a_test(self) -> None:
        for visit in VISITS:
            self.assertEqual(set(MATRIX[visit.label]), set(CLASSES), visit)
            for name in CLASSES:
                self.assertTrue(hasattr(MatrixTests, f"test_{name}_{visit}"))
