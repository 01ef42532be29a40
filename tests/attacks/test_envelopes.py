"""Every class of attack on every shape of envelope, in both directions: a test each.

`MATRIX` is the table; each cell becomes a method of `MatrixTests` named for the class and the shape. A cell shows that
nothing opens that was not sealed so, for this end and this connection, that nothing is cached, that neither end
remembers anything else than before, and that the envelope itself opens all the same.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import product
from typing import Final

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from seckex.crypto.envelope import NO_PATH, dsk_id, mac_pair, sign_pair, wrap_dsk
from seckex.crypto.kek import kek_info, seal_kek
from seckex.crypto.prekeys import PublicPrekey
from seckex.crypto.secrets import Secret
from seckex.delivery.keys.doorkeeper import Doorkeeper
from seckex.delivery.keys.faces import Forged, HeadersMissing
from seckex.delivery.keys.initiating import Initiating
from seckex.delivery.keys.pair import Terms
from seckex.delivery.keys.sources import AssociationSource, PrekeySource
from seckex.errors import AuthenticationFailed, Malformed, UnsupportedVersion
from seckex.wire.envelope import decode_envelope
from seckex.wire.envelope_headers import KekHeader, SessionKeyHeader, encode_kek, encode_key
from seckex.wire.envelope_pair import ServicePair, encode_pair
from seckex.wire.numbers import MessageKek, Suite
from tests.attacks.envelopes import PARTS, SCENES, Scene, joined, parts
from tests.delivery.keys.people import BODY, DIALOG, EVE, HOME, NODE, OTHER_PATH, PATH, SERVICE, Person, Talk, associate

REFUSALS: Final = (HeadersMissing, AuthenticationFailed, Malformed, UnsupportedVersion)
ELSEWHERE: Final = b"a connection not"
EVERY_BIT: Final = bool(os.environ.get("SECKEX_EVERY_BIT"))
#: Of what may open once, that it opens twice is seen from this many more.
WINDOW: Final = 1024


class Attacked(SynchronousTestCase):
    """What the cells do and check."""

    def refused(self, scene: Scene, forged: Iterable[bytes], *, at_least: int = 1) -> None:
        """Have forged envelopes arrive: none opens, and nothing changes."""
        before, count = scene.state(), 0
        for octets in forged:
            count += 1
            with self.assertRaises(REFUSALS, msg=octets.hex()):
                scene.arrive(octets)
            if count % 64 == 0:
                self.assertEqual(scene.state(), before)
        self.assertGreaterEqual(count, at_least)
        self.assertEqual(scene.state(), before)
        self.opens(scene)

    def opens(self, scene: Scene) -> None:
        """Check that the envelope itself opens."""
        self.assertEqual(scene.arrive(scene.octets).body, BODY)


# -- copies


def replayed(test: Attacked, label: str) -> None:
    """Have it come again, at once and after many others."""
    scene = SCENES[label]()
    test.opens(scene)
    before = scene.state()
    for _ in range(3):
        test.assertRaises(AuthenticationFailed, scene.arrive, scene.octets)
    test.assertEqual(scene.state(), before)
    say = scene.talk.answer if scene.back else scene.talk.say
    for _ in range(WINDOW if label.startswith("short") else 3):
        scene.arrive(say())
    test.assertRaises(AuthenticationFailed, scene.arrive, scene.octets)


def replayed_after_restart(test: Attacked, label: str) -> None:
    """Have it come again when the end that had opened it has begun anew, on the connection that there is then."""
    scene = SCENES[label]()
    talk = scene.talk
    test.opens(scene)
    talk.door = Doorkeeper(talk.home)
    talk.ours.reseed()
    if talk.path == NO_PATH:
        # Where relays are between, what was forgotten opens once more: the numbers of messages, which last, refuse it.
        test.assertEqual(scene.arrive(scene.octets).dialog.sequence, 1)
        talk.door = Doorkeeper(talk.home, refuse_before=talk.clock.wall + 1)
    else:
        talk.path = OTHER_PATH if talk.path == PATH else PATH
        talk.ours.connection(talk.path, talk.clock.now)
    before = scene.state()
    test.assertRaises(REFUSALS, scene.arrive, scene.octets)
    test.assertEqual(scene.state(), before)


def elsewhere(test: Attacked, label: str) -> None:
    """Have it come on another connection, instead and as well."""
    scene = SCENES[label]()
    talk = scene.talk
    for opened in (False, True):
        if opened:
            test.opens(scene)
        before = scene.state()
        with test.assertRaises(REFUSALS):
            if scene.back:
                talk.ours.open(scene.octets, ELSEWHERE, talk.clock.now)
            elif talk.path == NO_PATH and not opened:
                # Which connection it comes by is no matter where relays are between: it is opened below, and once.
                raise AuthenticationFailed("nothing was tried")
            else:
                talk.door.open(scene.octets, ELSEWHERE, talk.clock.now)
        test.assertEqual(scene.state(), before)


def reflected(test: Attacked, label: str) -> None:
    """Have it come back to who said it."""
    scene = SCENES[label]()
    before = scene.state()
    test.assertRaises(REFUSALS, scene.reflect, scene.octets)
    # With the direction turned over as well, in the flags.
    turned = scene.octets[:5] + bytes((scene.octets[5] ^ 0x10,)) + scene.octets[6:]
    test.assertRaises(REFUSALS, scene.reflect, turned)
    test.assertEqual(scene.state(), before)
    test.refused(scene, [turned])


def reordered(test: Attacked, label: str) -> None:
    """Have those behind it come first: each opens once."""
    scene = SCENES[label]()
    say = scene.talk.answer if scene.back else scene.talk.say
    behind = [say() for _ in range(3)]
    known = label.startswith("short") or "named" not in label
    arriving = [*reversed(behind), scene.octets] if known else [scene.octets, *reversed(behind)]
    for octets in arriving:
        test.assertEqual(scene.arrive(octets).body, BODY)
    for octets in arriving:
        test.assertRaises(AuthenticationFailed, scene.arrive, octets)


def dropped(test: Attacked, label: str) -> None:
    """Have it never come: what is behind it opens, or is missing its headers, and all goes on with all headers."""
    scene = SCENES[label]()
    talk = scene.talk
    say = talk.answer if scene.back else talk.say
    try:
        test.assertEqual(scene.arrive(say()).body, BODY)
    except HeadersMissing as missing:
        test.assertIn("named", label)
        test.assertEqual(missing.field, "Context")
    if not scene.back and talk.kind is not MessageKek.THREE_PHASE:
        talk.ours.missing(talk.clock.now)
        test.assertEqual(scene.arrive(talk.say()).body, BODY)


# -- alterations


def truncated(test: Attacked, label: str) -> None:
    """Cut it off everywhere, and put more behind it."""
    scene = SCENES[label]()
    octets = scene.octets
    cut = [octets[:length] for length in range(len(octets))]
    # With lengths that fit, parts left out at the end.
    shorter = [
        octets[:8] + (size - less).to_bytes(4, "big") + octets[12 : len(octets) - less]
        for size in [int.from_bytes(octets[8:12], "big")]
        for less in range(1, size)
    ]
    test.refused(scene, [*cut, *shorter, octets + b"\0", octets + octets])


def flipped(test: Attacked, label: str) -> None:
    """Turn over each bit that counts; one in each octet where another shape has had all of its bits turned already."""
    scene = SCENES[label]()
    octets = scene.octets
    skipped = range(0)
    every = EVERY_BIT or label not in ("whole, three-phase", "whole, relayed")
    if scene.talk.path == NO_PATH:
        # What a relay may change: all of the routing header behind its first 4 octets.
        routing = len(parts(octets)["routing"])
        skipped = range(64, 60 + routing)

    def forged() -> Iterator[bytes]:
        for at in range(len(octets) * 8):
            if at // 8 not in skipped and (every or at % 8 == at // 8 % 8):
                yield octets[: at // 8] + bytes((octets[at // 8] ^ 1 << at % 8,)) + octets[at // 8 + 1 :]

    test.refused(scene, forged(), at_least=len(octets) - 64)


def mixed(one: bytes, other: bytes) -> Iterator[bytes]:
    """Yield all that can be put together of the parts of two envelopes, but the two themselves."""
    ours, theirs = parts(one), parts(other)
    names = [name for name in PARTS if ours[name] != theirs[name]]
    for choice in product((False, True), repeat=len(names)):
        taken = dict(ours)
        taken.update({name: theirs[name] for name, their in zip(names, choice, strict=True) if their})
        octets = joined(taken)
        if octets not in (one, other):
            yield octets


def swapped(test: Attacked, label: str) -> None:
    """Swap parts with an envelope of another dialog of the same two."""
    scene, other = SCENES[label](), SCENES[label](dialog_id=bytes(16), seed="another")
    test.refused(scene, mixed(scene.octets, other.octets), at_least=6)


def spliced(test: Attacked, label: str) -> None:
    """Put its parts together with those of an envelope of the same dialog under other keys."""
    scene = SCENES[label]()
    talk = scene.talk
    if scene.back:
        talk.door.reseed()
        other = talk.answer()
    else:
        talk.node.hear(talk.home)
        twin = talk.begin(PrekeySource(talk.node))
        other = twin.seal(1, 1, 0, 0, 7, 0, BODY, talk.clock.now)
    test.refused(scene, mixed(scene.octets, other), at_least=6)


def misdirected(test: Attacked, label: str) -> None:
    """Have it come to somebody else, who has a dialog of the same id and the same vouchers."""
    scene = SCENES[label]()
    talk = scene.talk
    third = Person("third@example.org", talk.clock, policy=talk.home.policy)
    third.spis, third.private, third.exchanges = talk.home.spis, talk.home.private, talk.home.exchanges
    other = Talk(anonymous=talk.anonymous, clock=talk.clock, path=talk.path)
    if scene.back:
        test.assertRaises(REFUSALS, other.heed, scene.octets)
    else:
        door = Doorkeeper(third)
        test.assertRaises(REFUSALS, door.open, scene.octets, talk.path, talk.clock.now)
        test.assertEqual(len(door), 0)
    test.opens(scene)


MATRIX: Final[Mapping[str, Callable[[Attacked, str], None]]] = {
    "replay now": replayed,
    "replay after restart": replayed_after_restart,
    "on another connection": elsewhere,
    "reflect": reflected,
    "reorder": reordered,
    "drop": dropped,
    "truncate": truncated,
    "flip every bit": flipped,
    "swap parts of two dialogs": swapped,
    "splice onto other keys": spliced,
    "wrong end": misdirected,
}


class MatrixTests(Attacked):
    """Each class on each shape; its methods are made below."""


def _cell(attack: Callable[[Attacked, str], None], label: str) -> Callable[[MatrixTests], None]:
    def test(self: MatrixTests) -> None:
        attack(self, label)

    test.__doc__ = attack.__doc__
    return test


for _name, _label in product(MATRIX, SCENES):
    _method = f"test {_name} {_label}".replace(",", "").replace("-", " ").replace(" ", "_").lower()
    setattr(MatrixTests, _method, _cell(MATRIX[_name], _label))


# -- somebody else, and something weaker


def told(octets: bytes, pair: ServicePair, prove: Callable[[bytes], bytes], **others: bytes) -> bytes:
    """Return an envelope with another pair header, and other parts if any, that ``prove`` has proved."""
    found = {**parts(octets), **others, "pair": encode_pair(evolve(pair, proof=bytes(range(1, 33))))}
    signed = decode_envelope(joined(found)).signed
    return joined({**found, "pair": encode_pair(evolve(pair, proof=prove(signed)))})


def pair_of(octets: bytes) -> ServicePair:
    pair = decode_envelope(octets).pair
    assert pair is not None
    return pair


class NameTests(Attacked):
    """Nobody gets credit for another's words, and nobody is made to have said what he has not."""

    def setUp(self) -> None:
        self.scene = SCENES["whole"]()
        self.talk = self.scene.talk
        self.eve = Person(EVE, self.talk.clock)
        self.eve.hear(self.talk.home)

    def sign(self, signed: bytes) -> bytes:
        assert self.eve.identity is not None
        return sign_pair(self.eve.identity, signed)

    def named(self, pair: ServicePair) -> ServicePair:
        """Return a pair header with Eve for its initiator."""
        me = self.eve.principals[0]
        assert self.eve.identity is not None
        who = {"initiator": EVE, "initiator_issued": me.issued, "initiator_fingerprint": me.fingerprint}
        return evolve(pair, chain=self.eve.identity.chain, **who)  # type: ignore[arg-type]  # as the fields are

    def test_signed_again_by_somebody_else(self) -> None:
        for label in ("whole", "whole, three-phase"):
            scene = SCENES[label]()
            hers = told(scene.octets, self.named(pair_of(scene.octets)), self.sign)
            before = scene.state()
            with self.assertRaises(Forged) as caught:
                scene.arrive(hers)
            # Not the signature is at fault: what was sealed was sealed for another name.
            self.assertNotEqual(caught.exception.field, "signature")
            self.assertEqual(scene.state(), before)
            self.opens(scene)

    def test_signed_by_somebody_else_in_his_name(self) -> None:
        pair = pair_of(self.scene.octets)
        hers = evolve(self.named(pair), initiator=pair.initiator)
        forged = [
            told(self.scene.octets, each, self.sign)
            for each in (pair, hers, evolve(hers, initiator_fingerprint=pair.initiator_fingerprint))
        ]
        self.refused(self.scene, forged, at_least=3)

    def test_signed_again_after_it_was_cached(self) -> None:
        self.opens(self.scene)
        hers = told(self.talk.say(), self.named(pair_of(self.scene.octets)), self.sign)
        before = self.scene.state()
        with self.assertRaises(Forged) as caught:
            self.scene.arrive(hers)
        self.assertEqual(caught.exception.field, "service pair header")
        self.assertEqual(self.scene.state(), before)

    def test_a_name_put_to_what_has_none(self) -> None:
        scene = SCENES["anonymous"]()
        with self.assertRaises(Malformed):
            told(scene.octets, self.named(pair_of(self.scene.octets)), self.sign)

    def test_an_association_s_name_put_to_by_another_association(self) -> None:
        scene = SCENES["whole, association"]()
        associate(self.eve, scene.talk.home, spi=99)
        hers = Talk.begin(self.of_eve(scene.talk), AssociationSource(self.eve))
        octets = hers.seal(1, 1, 0, 0, 1, 0, BODY, scene.talk.clock.now)
        kek, held = hers.kek, {name: parts(scene.octets)[name] for name in ("kek", "key")}
        assert kek is not None
        self.refused(
            scene,
            [
                told(octets, pair_of(scene.octets), lambda signed: mac_pair(kek.secret, signed)),
                told(scene.octets, pair_of(octets), lambda signed: mac_pair(kek.secret, signed)),
                told(scene.octets, pair_of(octets), lambda signed: mac_pair(Secret(bytes(32)), signed)),
                told(octets, pair_of(scene.octets), lambda signed: mac_pair(kek.secret, signed), **held),
            ],
            at_least=4,
        )

    def of_eve(self, talk: Talk) -> Talk:
        """Return a dialog of the same id and home that Eve begins."""
        other = Talk(clock=talk.clock, path=talk.path)
        other.node, other.home = self.eve, talk.home
        return other

    def test_a_target_hands_on_what_it_was_told(self) -> None:
        # The node speaks with Eve, who has the KEK then, and tells the home in the node's name.
        talk = self.talk
        talk.node.hear(self.eve)
        source = PrekeySource(talk.node)
        to_eve = Initiating(talk.node, Terms(DIALOG, EVE, SERVICE), source)
        to_eve.connection(talk.path, talk.clock.now)
        octets = to_eve.seal(1, 1, 0, 0, 1, 0, BODY, talk.clock.now)
        kek = to_eve.kek
        assert kek is not None
        pair, home = pair_of(octets), talk.home.principals[0]
        aimed = evolve(pair, target=home.nai, target_issued=home.issued, target_fingerprint=home.fingerprint)
        info = kek_info(NODE, pair.initiator_fingerprint, HOME, home.fingerprint, self.known.id, DIALOG)
        sealed = seal_kek(self.known, info, kek.secret)
        header = KekHeader(MessageKek.PREKEY, self.known.kem, kek.id, int(kek.until), self.known.id, sealed)
        again = encode_kek(header)
        proof = pair.proof
        forged = [octets]
        for who, kek_octets in product((pair, aimed), (kek.octets, again)):
            forged += [told(octets, who, lambda _: proof, kek=kek_octets), told(octets, who, self.sign, kek=kek_octets)]
        self.refused(self.scene, forged, at_least=9)

    @property
    def known(self) -> PublicPrekey:
        """The prekey of the home, as everybody knows it."""
        return self.eve.known[HOME]

    def test_what_eve_hands_on_in_her_own_name_is_hers(self) -> None:
        hers = Talk.begin(self.of_eve(self.talk), PrekeySource(self.eve))
        self.opens(self.scene)
        opened = self.talk.hear(hers.seal(1, 1, 0, 0, 1, 0, BODY, self.talk.clock.now))
        self.assertEqual(opened.peer, EVE)
        self.assertIsNot(opened.accepting, self.talk.theirs)
        self.assertEqual(self.talk.hear(self.talk.say()).peer, NODE)


class DowngradeTests(Attacked):
    """Nothing weaker comes of altering what was said, or of saying that keys are missing."""

    def test_another_suite(self) -> None:
        for scene in (make() for make in SCENES.values()):
            suites = [suite for suite in Suite if suite is not scene.talk.suite]
            self.refused(scene, [scene.octets[:3] + bytes((suite,)) + scene.octets[4:] for suite in suites], at_least=2)

    def test_another_suite_under_keys_that_are_held(self) -> None:
        scene = SCENES["named"]()
        talk = scene.talk
        twin = talk.begin(PrekeySource(talk.node))
        for name in ("_kek", "_generation", "_kek_held", "_held"):
            setattr(twin, name, getattr(talk.ours, name))
        twin._suite = Suite.CHACHA20_POLY1305
        with self.assertRaises(Forged) as caught:
            scene.arrive(twin.seal(1, 1, 0, 0, 1, 0, BODY, talk.clock.now))
        self.assertEqual(caught.exception.field, "Suite")
        self.opens(scene)

    def test_another_source(self) -> None:
        for label in ("whole", "whole, association", "whole, KDC", "whole, three-phase", "anonymous"):
            scene = SCENES[label]()
            kek = decode_envelope(scene.octets).kek
            assert kek is not None
            forged = [
                joined({**parts(scene.octets), "kek": kek_octets})
                for kek_octets in (parts(other())["kek"] for other in self.others(kek.source))
            ]
            self.refused(scene, forged, at_least=3)

    @staticmethod
    def others(source: MessageKek) -> Iterator[Callable[[], bytes]]:
        for label in ("whole", "whole, association", "whole, KDC", "whole, three-phase"):
            octets = SCENES[label]().octets
            found = decode_envelope(octets).kek
            assert found is not None
            if found.source is not source:
                yield lambda octets=octets: octets  # type: ignore[misc]  # of its own

    def test_a_name_taken_away(self) -> None:
        for label in ("whole", "whole, association", "whole, KDC", "whole, three-phase"):
            scene = SCENES[label]()
            self.refused(scene, [joined({**parts(scene.octets), "pair": b""})])

    def test_headers_taken_away(self) -> None:
        for label in ("whole", "anonymous", "new session key", "named"):
            scene = SCENES[label]()
            found = parts(scene.octets)
            names = [name for name in ("pair", "kek", "key") if found[name]]
            forged = [
                joined({**found, **{name: b"" for name, off in zip(names, choice, strict=True) if off}})
                for choice in product((True, False), repeat=len(names))
                if any(choice)
            ]
            self.refused(scene, forged, at_least=1)

    def test_another_header_for_a_kek_that_is_held(self) -> None:
        scene = SCENES["whole"]()
        talk = scene.talk
        self.opens(scene)
        kek = talk.ours.kek
        assert kek is not None
        found = decode_envelope(scene.octets).kek
        assert found is not None
        talk.ours._kek = evolve(kek, octets=encode_kek(evolve(found, expiry=found.expiry + 86400)))
        with self.assertRaises(Forged) as caught:
            talk.hear(talk.say())
        self.assertEqual(caught.exception.field, "KEK header")

    def test_a_lower_generation(self) -> None:
        scene = SCENES["new session key"]()
        self.opens(scene)
        talk = scene.talk
        kek = talk.ours.kek
        assert kek is not None
        dsk = Secret(bytes(32))
        sealed = wrap_dsk(kek.secret, 1, dsk, DIALOG, kek.octets)
        header = encode_key(SessionKeyHeader(1, dsk_id(dsk), kek.id, sealed))
        with self.assertRaises(HeadersMissing) as caught:
            talk.hear(joined({**parts(scene.octets), "key": header}))
        self.assertEqual(caught.exception.field, "Generation")

    def test_missing_keys_change_neither_source_nor_suite(self) -> None:
        for kind in (MessageKek.PREKEY, MessageKek.ASSOCIATION, MessageKek.KDC):
            talk = Talk(kind, suite=Suite.CHACHA20_POLY1305)
            talk.settle()
            associate(talk.node, talk.home)
            talk.node.hear(talk.home)
            talk.ours.missing(talk.clock.now)
            found = decode_envelope(talk.say())
            assert found.kek is not None
            self.assertEqual((found.kek.source, found.suite), (kind, Suite.CHACHA20_POLY1305))

    def test_a_dialog_with_a_name_has_no_part_without_one(self) -> None:
        talk = Talk()
        talk.settle()
        nobody = Talk(anonymous=True, clock=talk.clock, seed="nobody")
        nobody.door = talk.door
        opened = talk.hear(nobody.say())
        self.assertEqual(opened.peer, "")
        self.assertIsNot(opened.accepting, talk.theirs)
        self.assertEqual(talk.heed(talk.answer()).body, BODY)


class FaultTests(SynchronousTestCase):
    """Our own operator is told which field is at fault."""

    def test_fields(self) -> None:
        scene = SCENES["whole"]()
        talk, found = scene.talk, decode_envelope(scene.octets)
        assert found.pair is not None
        identity = talk.node.identity
        assert identity is not None

        def sign(signed: bytes) -> bytes:
            return sign_pair(identity, signed)

        pair = found.pair
        for other, field in (
            (evolve(pair, initiator=EVE), "initiator's NAI, initiator's issue date"),
            (evolve(pair, initiator_issued=pair.initiator_issued - 1), "initiator's NAI, initiator's issue date"),
            (evolve(pair, initiator_fingerprint=bytes(32)), "initiator's fingerprint"),
            (evolve(pair, target_issued=1), "target's NAI, target's issue date"),
            (evolve(pair, target_fingerprint=bytes(32)), "target's fingerprint"),
            (evolve(pair, service="another"), None),
        ):
            octets = told(scene.octets, other, sign)
            if field is None:
                # All is signed anew by the initiator itself; what it says then was not what the body was sealed with.
                self.assertRaises(AuthenticationFailed, scene.arrive, octets)
                continue
            with self.assertRaises((Forged, HeadersMissing)) as caught:
                scene.arrive(octets)
            self.assertEqual((caught.exception.field, caught.exception.peer), (field, other.initiator))
            self.assertEqual(caught.exception.dialog_id, DIALOG)

    def test_a_proof_that_is_none_is_the_proof_s_fault(self) -> None:
        for kind in MessageKek:
            talk = Talk(kind)
            self.patch(talk.ours, "_prove", lambda _: bytes(range(1, 33)))
            with self.assertRaises(Forged):
                talk.hear(talk.say())
            self.assertEqual(len(talk.door), 0)

    def test_what_is_told_of_keys_is_no_key(self) -> None:
        scene = SCENES["whole"]()
        kek = scene.talk.ours.kek
        assert kek is not None
        for shown in (
            repr(scene.talk.ours),
            repr(kek),
            repr(scene.talk.door),
            str(scene.talk.ours.shown(scene.talk.clock.now)),
        ):
            self.assertNotIn(kek.secret.octets.hex(), shown)
            self.assertNotIn(repr(kek.secret.octets), shown)
