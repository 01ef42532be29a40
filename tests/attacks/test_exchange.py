"""Every class of attack on every message of an exchange, in every mode: a test each.

`MATRIX` is the table: for each kind of message the classes, each with what does
it, or why it cannot be done. Each cell becomes a method of `MatrixTests`
named for the class and the message, for each scene in which the message occurs.
A cell shows that the attack has no effect but a count or an explanation: no
state changes, nothing is answered that was not said before, and the exchange
that was attacked comes to the very end that it would have come to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Final

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from seckex.crypto.authority import Key0
from seckex.crypto.secrets import Secret
from seckex.events import NegotiationRefused
from seckex.exchange.messages import request_digest
from seckex.exchange.transcript import Transcript
from seckex.machine import Path
from seckex.sa.policy import Policy
from seckex.wire.general import encode_versions
from seckex.wire.numbers import ANSWER_FLAG, ROAMING_KINDS, Kind, Role
from seckex.wire.stem import encode_cookie, encode_use_tcp
from tests.attacks.forgeries import cuts, downgrades, flips, renamed, splices, swaps
from tests.attacks.scenes import SCENES, UNPROVEN, UNVOUCHED, Hosts, Scene, Stage
from tests.conversation import AES
from tests.link import duplicate, late
from tests.pump import KEY, Host, Network

STRANGER: Final = Path("203.0.113.66", 4434)
MALLORY: Final = "mallory@example.com"
BATCH: Final = 64

#: Labels under which an authority authenticates, by kind.
LABELS: Final = {
    Kind.OFFER: (Role.INITIATOR, b"seckex1 offer"),
    Kind.ABANDON: (Role.INITIATOR, b"seckex1 abandon"),
    Kind.COUNTER: (Role.RESPONDER, b"seckex1 counter"),
    Kind.REFUSAL: (Role.RESPONDER, b"seckex1 refusal"),
}


def stranger(stage: Stage) -> Path:
    """Return an address of nobody, from which messages come as those of the stage do."""
    return STRANGER._replace(tcp=stage.datagram.source.tcp)


def said_by(stage: Stage) -> set[bytes]:
    """Return all octets that were on the network."""
    return {datagram.octets for datagram in stage.network.sent}


def outcome(stage: Stage) -> tuple[object, ...]:
    """Return what the ends hold, and whether they were refused."""
    hosts = (stage.node, stage.home)
    held = [sorted((str(a.agreement), a.confirmed, a.peer) for a in host.node.associations) for host in hosts]
    refused = [any(event.peer != MALLORY for event in host.told(NegotiationRefused)) for host in hosts]
    return (*held, *refused)


def strengths(held: object) -> set[str]:
    """Return what the associations in an `outcome` have agreed."""
    return {agreement for agreement, _, _ in held} if isinstance(held, list) else set()


@cache
def untouched(scene: Scene) -> tuple[object, ...]:
    """Return what the scene comes to if nobody touches it."""
    stage = scene.play(lambda datagram: (datagram,))
    stage.network.run(3)
    return outcome(stage)


class Attacked(SynchronousTestCase):
    """What the cells do and check."""

    def completes(self, scene: Scene, stage: Stage, *, delivered: bool = True) -> None:
        """Let the real message arrive and check that the exchange comes to its own end."""
        if delivered:
            stage.network.deliver(stage.datagram)
        stage.network.run(45 if scene in UNVOUCHED else 3)
        node, home = stage.node, stage.home
        if scene in UNVOUCHED:
            # What nobody vouches for may be refused, which is told, and costs another attempt.
            self.assertEqual(outcome(stage)[:2], untouched(scene)[:2], str(stage.network))
        else:
            self.assertEqual(outcome(stage), untouched(scene), str(stage.network))
        for ours in node.node.associations:
            theirs = home.node.associations.get(ours.spi_out)
            if theirs is None:
                self.fail(f"one end only has an association\n{stage.network}")
            self.assertEqual(theirs.keys.octets(), ours.keys.octets())
            self.assertEqual((ours.peer, theirs.peer, ours.names), (home.nai, node.nai, theirs.names))

    def unmoved(self, stage: Stage, host: Host, forgeries: Iterable[bytes], source: Path | None = None) -> int:
        """Let forgeries arrive at ``host``: nothing changes, and nothing new is said; return how many there were."""
        if stage.scene in UNVOUCHED:
            return self.unconvinced(stage, host, forgeries)
        before, known = host.tables(), said_by(stage)
        count, since = 0, len(stage.network.sent)
        for count, octets in enumerate(forgeries, start=1):
            if octets == stage.datagram.octets and host is stage.host:
                continue
            host.receive(octets, source or stranger(stage))
            if count % BATCH == 0:
                self.assertEqual(host.tables(), before, octets.hex())
                self.silent(stage, since, known)
        self.assertEqual(host.tables(), before)
        self.silent(stage, since, known)
        self.assertGreater(count, 0)
        return count

    def unconvinced(self, stage: Stage, host: Host, forgeries: Iterable[bytes]) -> int:
        """Let forgeries of what nothing vouches for arrive: nobody gets an association of it, nor keeps one less."""
        every = [octets for octets in forgeries if octets != stage.datagram.octets]
        held = [(list(each.node.associations), len(each.units)) for each in (stage.node, stage.home)]
        if stage.scene.kind is Kind.OFFER:
            # They are answered, as any would be; the answers go to who made the real one.
            for octets in every:
                host.receive(octets, stage.datagram.source)
            stage.network.run(0.02)
            found = [(list(each.node.associations), len(each.units)) for each in (stage.node, stage.home)]
            self.assertEqual(found, held)
            return len(every)
        # They may end an attempt, after which comes another.
        for octets in every[:: max(len(every) // 6, 1)]:
            other = stage.scene.play()
            other.host.receive(octets, other.datagram.source)
            other.network.deliver(other.datagram)
            other.network.run(45)
            self.assertEqual(strengths(outcome(other)[0]), strengths(untouched(stage.scene)[0]), str(other.network))
        return len(every)

    def silent(self, stage: Stage, since: int, known: set[bytes]) -> None:
        """Check that all that was said since is a hint, or was said before."""
        for datagram in stage.network.sent[since:]:
            if datagram.label not in UNPROVEN and datagram.octets not in known:
                self.fail(f"{datagram.label} was said\n{stage.network}")

    # -- the classes

    def replay_now(self, scene: Scene) -> None:
        stage = scene.play(lambda datagram: (datagram,))
        stage.network.run(3)
        for _ in range(3):
            before, since, known = stage.host.tables(), len(stage.network.sent), said_by(stage)
            stage.host.receive(stage.datagram.octets, stranger(stage))
            stage.network.run(0)
            self.assertEqual(stage.host.tables(), before)
            self.silent(stage, since, known)
        self.completes(scene, stage, delivered=False)

    def replay_after_restart(self, scene: Scene) -> None:
        stage = scene.play(lambda datagram: (datagram,))
        stage.network.run(3)
        known = said_by(stage)
        stage.sender.stop()
        stage.host.restart()
        known |= said_by(stage)
        held = list(stage.host.node.associations)
        before, since = stage.host.tables(), len(stage.network.sent)
        for _ in range(3):
            stage.host.receive(stage.datagram.octets, stranger(stage))
            stage.network.run(0)
        if scene in UNVOUCHED:
            self.assertEqual(list(stage.host.node.associations), held)
        else:
            self.assertEqual(stage.host.tables(), before, str(stage.network))
            self.silent(stage, since, known)

    def reflect(self, scene: Scene) -> None:
        stage = scene.play()
        octets = stage.datagram.octets
        turned = octets[:1] + bytes((octets[1] ^ ANSWER_FLAG,)) + octets[2:]
        self.unmoved(stage, stage.sender, [octets, turned, *downgrades(octets)], stage.host.path)
        self.completes(scene, stage)

    def reorder(self, scene: Scene) -> None:
        for seconds in (0.6, 1.7):
            # What is sent again overtakes it.
            stage = scene.play(late(seconds))
            stage.network.run(5)
            self.completes(scene, stage, delivered=False)
        stage = scene.play()
        # All that was said before comes again, from behind.
        for datagram in stage.network.sent[-2::-1]:
            stage.network.deliver(datagram)
        stage.network.run(0.02)
        self.completes(scene, stage)

    def truncate(self, scene: Scene) -> None:
        stage = scene.play()
        count = self.unmoved(stage, stage.host, cuts(stage.datagram.octets))
        self.assertGreaterEqual(count, len(stage.datagram.octets))
        self.completes(scene, stage)

    def drop(self, scene: Scene) -> None:
        for times in (1, 2):
            stage = scene.play(times=times)
            stage.network.run(10)
            self.completes(scene, stage, delivered=False)

    def duplicate(self, scene: Scene) -> None:
        stage = scene.play(duplicate)
        self.completes(scene, stage, delivered=False)
        before = stage.host.tables()
        stage.host.receive(stage.datagram.octets, stage.sender.path)
        stage.network.run(0)
        self.assertEqual(stage.host.tables(), before)

    def splice_two_sessions(self, scene: Scene) -> None:
        stage, other = scene.play(seed=1), scene.play(seed=2)
        self.assertNotEqual(stage.datagram.octets, other.datagram.octets)
        self.unmoved(stage, stage.host, splices(stage.datagram.octets, other.datagram.octets))
        self.unmoved(stage, stage.host, splices(other.datagram.octets, stage.datagram.octets))
        self.completes(scene, stage)

    def swap_two_sealed_parts(self, scene: Scene) -> None:
        stage = scene.play()
        self.unmoved(stage, stage.host, swaps(stage.datagram.octets))
        self.completes(scene, stage)

    def flip_every_bit(self, scene: Scene) -> None:
        stage = scene.play()
        octets = stage.datagram.octets
        self.assertGreaterEqual(self.unmoved(stage, stage.host, flips(octets)), len(octets))
        self.completes(scene, stage)

    def downgrade(self, scene: Scene) -> None:
        stage = scene.play()
        self.unmoved(stage, stage.host, downgrades(stage.datagram.octets))
        self.completes(scene, stage)

    def wrong_peer(self, scene: Scene) -> None:
        """Have it arrive at others: who have another KEY 0 under its SPI, or the same under other names."""
        stage = scene.play()
        for number, key in enumerate((bytes(32), KEY)):
            other = stage.network.host(f"other {number}", nai=MALLORY)
            other.knows(stage.sender, AES, key=key, spi=int.from_bytes(stage.datagram.octets[12:16], "big"))
            other.start()
            self.unmoved(stage, other, [stage.datagram.octets])
        self.completes(scene, stage)

    def unknown_key_share(self, scene: Scene) -> None:
        """Somebody with a KEY 0 of his own at the receiver gives the message out as his."""
        key, spi = b"mallory's own KEY 0".ljust(32), 0x5678

        def arrange(network: Network, ours: Policy, theirs: Policy) -> Hosts:
            hosts = scene.arrange(network, ours, theirs)
            mallory = network.host("mallory", nai=MALLORY)
            for host in hosts:
                host.knows(mallory, AES, key=key, spi=spi)
                host.restart()
            return hosts

        stage = evolve(scene, arrange=arrange).play()
        host, octets = stage.host, stage.datagram.octets
        start = renamed(octets, spi)
        role, label = LABELS.get(scene.kind, (Role.INITIATOR, b"seckex1 offer"))
        names = (MALLORY, host.nai) if role is Role.INITIATOR else (host.nai, MALLORY)
        heard = Transcript.between(*names).heard(1, role, start)
        mac = Key0(Secret(key), spi, 1, (MALLORY, host.nai)).authenticate(role, label, heard.digest)
        associations = tuple(host.node.associations)
        host.receive(start + mac, stranger(stage))
        stage.network.run(0)
        self.assertEqual(tuple(host.node.associations), associations, str(stage.network))
        self.completes(scene, stage)


A = Attacked

#: Every class, with what does it to a message that is authenticated.
CLASSES: Final[Mapping[str, Callable[[Attacked, Scene], None]]] = {
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
    "wrong_peer": A.wrong_peer,
    "unknown_key_share": A.unknown_key_share,
}

ALL: Final = tuple(CLASSES)

#: For each kind of message, in each mode, the classes that are tried on it.
MATRIX: Final[Mapping[str, Mapping[Kind, tuple[str, ...]]]] = {
    "key 0": {
        Kind.OFFER: ALL,
        Kind.CHOICE: ALL,
        Kind.COUNTER: ALL,
        Kind.REFUSAL: ALL,
        Kind.CONFIRM: ALL,
        Kind.CONFIRMED: ALL,
        Kind.ABANDON: ALL,
    },
    "association": {
        Kind.OFFER: ALL,
        Kind.CHOICE: ALL,
        Kind.COUNTER: ALL,
        Kind.REFUSAL: ALL,
        Kind.CONFIRM: ALL,
        Kind.CONFIRMED: ALL,
        Kind.ABANDON: ALL,
        Kind.PROBE: ALL,
        Kind.PRESENT: ALL,
        Kind.DELETE: ALL,
        Kind.DELETED: ALL,
    },
    "certificates": {
        Kind.OFFER: ALL,
        Kind.CHOICE: ALL,
        Kind.COUNTER: ALL,
        Kind.REFUSAL: ALL,
        Kind.CONFIRM: ALL,
        Kind.CONFIRMED: ALL,
    },
}

#: What is said in one mode only.
ELSEWHERE: Final[Mapping[str, frozenset[Kind]]] = {
    "key 0": frozenset({Kind.PROBE, Kind.PRESENT, Kind.DELETE, Kind.DELETED}),
    "association": frozenset(),
    # Who gives up says nothing: there is nobody yet whom the responder would believe.
    "certificates": frozenset({Kind.ABANDON, Kind.PROBE, Kind.PRESENT, Kind.DELETE, Kind.DELETED}),
}

#: What is not authenticated has tests of its own: whatever it says, it is a hint.
HINTS: Final = frozenset({Kind.VERSIONS, Kind.UNKNOWN, Kind.COOKIE, Kind.USE_TCP})


class MatrixTests(Attacked):
    """A test for each cell, made below."""


def _cell(attack: Callable[[Attacked, Scene], None], scene: Scene) -> Callable[[MatrixTests], None]:
    def test(self: MatrixTests) -> None:
        attack(self, scene)

    return test


for _scene in SCENES:
    for _class in MATRIX[_scene.mode][_scene.kind]:
        setattr(MatrixTests, f"test_{_class}_{_scene}", _cell(CLASSES[_class], _scene))


class CompletenessTests(SynchronousTestCase):
    def test_every_kind_has_its_row_in_every_mode(self) -> None:
        for mode, row in MATRIX.items():
            self.assertEqual({*row} | HINTS | ELSEWHERE[mode] | ROAMING_KINDS, set(Kind), mode)
            self.assertEqual({*row} & (HINTS | ELSEWHERE[mode]), set(), mode)

    def test_every_cell_has_a_test(self) -> None:
        for mode, row in MATRIX.items():
            for kind, classes in row.items():
                scenes = [scene for scene in SCENES if (scene.mode, scene.kind) == (mode, kind)]
                self.assertTrue(scenes, f"{kind.name} by {mode} does not occur")
                self.assertEqual(set(classes), set(CLASSES), f"{kind.name} by {mode}")
                for scene in scenes:
                    for name in classes:
                        self.assertTrue(hasattr(MatrixTests, f"test_{name}_{scene}"))


def forged_hints(kind: Kind, request: bytes) -> list[bytes]:
    """Return hints that somebody who has seen ``request`` can make, the likely ones first."""
    about = request[4:16]
    if kind is Kind.VERSIONS:
        other = request[:1] + b"\x20" + request[2:4] + about + bytes(60)
        return [encode_versions(other, versions) or b"" for versions in ((7,), (1,), tuple(range(40)), ())]
    if kind is Kind.UNKNOWN:
        return [b"\xff\x11\0\x0e" + about]
    if kind is Kind.COOKIE:
        cookies = [bytes((number,)) * size for number in range(3) for size in (1, 21, 64)]
        return [encode_cookie(request, cookie) or b"" for cookie in cookies]
    digests = (request_digest(request), bytes(32))
    return [encode_use_tcp(request, digest) or b"" for digest in digests]


class HintTests(Attacked):
    """What is not authenticated is a hint, however it is forged: it ends nothing and weakens nothing.

    A hint may cost another sending, or a renewal that begins anew under what vouched for the first of its line.
    """

    def hinted(self, kind: Kind) -> None:
        for scene in SCENES:
            stage = scene.play()
            held = [list(host.node.associations) for host in (stage.node, stage.home)]
            for request in [sent.octets for sent in stage.network.sent if not sent.octets[1] & ANSWER_FLAG]:
                hints = [hint for hint in forged_hints(kind, request) if hint]
                for octets in (*hints, *hints, *cuts(hints[0]), *flips(hints[0])) if hints else ():
                    for host in (stage.node, stage.home):
                        host.receive(octets, stranger(stage))
            self.assertEqual([list(host.node.associations) for host in (stage.node, stage.home)], held)
            stage.network.deliver(stage.datagram)
            stage.network.run(5)
            expected = strengths(untouched(scene)[0])
            self.assertLessEqual(strengths(outcome(stage)[0]), expected, str(stage.network))
            if kind is Kind.UNKNOWN:
                # It may have to begin anew, after a while.
                stage.network.run(70)
            if expected:
                self.assertEqual(strengths(outcome(stage)[0]), expected, str(stage.network))


def _hint(kind: Kind) -> Callable[[HintTests], None]:
    def test(self: HintTests) -> None:
        self.hinted(kind)

    return test


for _kind in HINTS:
    setattr(HintTests, f"test_no_{_kind.name}_ends_or_weakens_anything", _hint(_kind))
