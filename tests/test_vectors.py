"""The worked example of the documents, and the daemons' own machines fed with the same randomness."""

from __future__ import annotations

from collections.abc import Callable

from twisted.trial.unittest import SynchronousTestCase

from seckex.crypto.authority import Key0
from seckex.crypto.schedule import LinkSchedule
from seckex.crypto.secrets import Secret
from seckex.crypto.suites import SHA256
from seckex.dialog.faces import Closure, Ending, LinkAssociation
from seckex.dialog.link import Link
from seckex.dialog.stream import Dialog
from seckex.exchange import initiator, responder
from seckex.exchange.attempt import Answer
from seckex.exchange.messages import Received
from seckex.exchange.terms import Terms
from seckex.exchange.transcript import Transcript
from seckex.machine import Now, Path, Persist, Persisted, Send, State, Step, Transitions, advance
from seckex.sa.association import Association
from seckex.sa.store import PutAssociation
from seckex.wire.dialog import Hello
from seckex.wire.general import decode_message
from seckex.wire.numbers import PRF_HMAC_SHA2_256, Suite
from tests import vectors_of_docs as example
from tests.conversation import policy, proposal

NOW = Now(0.0, float(example.SECONDS))
PATH = Path("192.0.2.1", 4434)
OFFERED = policy(
    proposal("aes-256-gcm chacha20-poly1305 hmac-sha-256 prf-hmac-sha-256 x25519", example.LIFETIME_OFFERED)
)
TAKEN = policy(proposal("aes-256-gcm hmac-sha-256 prf-hmac-sha-256 x25519", example.LIFETIME_TAKEN))


def drawn(*octets: bytes) -> Callable[[int], bytes]:
    """Return a source of randomness that gives ``octets`` in turn, and zeros for jitter."""
    left = list(octets)

    def entropy(count: int) -> bytes:
        if count == 2:
            return bytes(2)
        given = left.pop(0)
        if len(given) != count:
            raise AssertionError(f"{count} octets are drawn where {len(given)} are expected")
        return given

    return entropy


def terms(local: str, peer: str, entropy: Callable[[int], bytes]) -> Terms:
    names = (example.INITIATOR, example.RESPONDER)
    key0 = Key0(Secret(example.KEY0), example.KEY0_SPI, example.KVNO, names)
    return Terms(local, peer, key0, OFFERED if local == example.INITIATOR else TAKEN, entropy)


def sent(step: Step) -> bytes:
    """Return the one datagram that a step sends."""
    (octets,) = (action.octets for action in step.actions if isinstance(action, Send))
    return octets


def stored(step: Step) -> Association:
    """Return the one association that a step stores."""
    units = [action.unit for action in step.actions if isinstance(action, Persist)]
    (association,) = (o.association for unit in units for o in unit if isinstance(o, PutAssociation))
    return association


def received(octets: bytes) -> Received:
    return Received(decode_message(octets), octets)


class NegotiationTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.example = example.compute()
        self.said = {name: layout.octets for name, layout in self.example.said.items()}
        self.ours = terms(
            example.INITIATOR,
            example.RESPONDER,
            drawn(
                example.SPI_I.to_bytes(4, "big"),
                example.PRIVATE_I,
                example.RANDOM_OF_OFFER,
                example.NONCE_I,
                example.RANDOM_OF_CONFIRM,
            ),
        )
        self.theirs = terms(
            example.RESPONDER,
            example.INITIATOR,
            drawn(example.SPI_R.to_bytes(4, "big"), example.PRIVATE_R, example.NONCE_R),
        )

    def test_both_machines_say_what_the_document_says(self) -> None:
        def node(state: State, event: object) -> Step:
            return self.step(initiator.TRANSITIONS, state, event)

        def home(state: State, event: object) -> Step:
            return self.step(responder.TRANSITIONS, state, event)

        # OFFER -->
        offering = initiator.begin(self.ours, PATH, NOW)
        offer = sent(offering)
        self.assertEqual(offer.hex(), self.said["OFFER"].hex())
        # <-- CHOICE
        awaiting = responder.ExpectOffer(self.theirs, Transcript.between(example.INITIATOR, example.RESPONDER))
        choosing = home(awaiting, responder.Offered(received(offer), PATH, SHA256.digest(offer)))
        theirs = stored(choosing)
        answering = home(choosing.state, Persisted())
        choice = sent(answering)
        self.assertEqual(choice.hex(), self.said["CHOICE"].hex())
        # CONFIRM -->
        agreed = node(offering.state, Answer(received(choice)))
        ours = stored(agreed)
        confirming = node(agreed.state, Persisted())
        confirm = sent(confirming)
        self.assertEqual(confirm.hex(), self.said["CONFIRM"].hex())
        # <-- CONFIRMED
        marking = home(answering.state, responder.Confirmed(received(confirm), PATH))
        confirmed = sent(home(marking.state, Persisted()))
        self.assertEqual(confirmed.hex(), self.said["CONFIRMED"].hex())

        for association in (ours, theirs):
            self.check_keys(association)

    def step(self, transitions: Transitions, state: State, event: object) -> Step:
        return advance(transitions, state, event, NOW)

    def check_keys(self, association: Association) -> None:
        keys, expected = association.keys, self.example.keys
        self.assertEqual(association.transcript, expected["T_2"])
        self.assertEqual(keys.secret.octets, expected["prk"])
        self.assertEqual(keys.auth_i.octets, expected["auth key i"])
        self.assertEqual(keys.auth_r.octets, expected["auth key r"])
        for name in ("confirm_i", "confirm_r", "dialog", "exporter", "rekey"):
            self.assertEqual(getattr(keys, name).octets, expected[name], name)


class End:
    """An owner of a link that takes every dialog, and a sink that keeps what it is given."""

    def __init__(self) -> None:
        self.heard = b""
        self.said = b""
        self.link: Link

    def flush(self) -> None:
        """Send at once all that waits."""
        octets = bytes(self.link.outbox.pending())
        self.link.outbox.sent(len(octets))
        self.said += octets

    def take(self) -> bytes:
        """Return what was sent since the last call."""
        said, self.said = self.said, b""
        return said

    def link_opened(self, link: Link) -> None:
        """Nothing."""

    def dialog_offered(self, _link: Link, dialog: Dialog) -> None:
        dialog.attach(self)
        dialog.accept()

    def link_idle(self, link: Link) -> None:
        """Nothing."""

    def link_worn(self, link: Link) -> None:
        """Nothing."""

    def link_closed(self, link: Link, closure: Closure) -> None:
        """Nothing."""

    def opened(self) -> None:
        """Nothing."""

    def data(self, octets: bytes) -> None:
        self.heard += octets

    def ended(self) -> None:
        """Nothing."""

    def sent_end(self) -> None:
        """Nothing."""

    def pause(self) -> None:
        """Nothing."""

    def resume(self) -> None:
        """Nothing."""

    def over(self, ending: Ending) -> None:
        """Nothing."""


class LinkTests(SynchronousTestCase):
    def test_both_ends_of_a_link_say_what_the_document_says(self) -> None:
        computed = example.compute()
        said = {name: layout.octets.hex() for name, layout in computed.said.items()}
        node, home = End(), End()
        limits = Hello(example.CREDIT, example.MOST_DIALOGS, example.LARGEST_BODY)
        association = LinkAssociation(example.SPI_R, "somebody", self.schedule(computed.keys["dialog"]))

        def build(end: End, salt: bytes, **side: object) -> None:
            end.link = Link(
                owner=end,
                limits=limits,
                salt=salt,
                clock=lambda: example.MICROSECONDS * 1000,
                flush=end.flush,
                **side,  # type: ignore[arg-type]  # either of the two that tell the sides apart
            )

        build(node, example.SALT_I, association=association)
        build(home, example.SALT_R, find=lambda _: association)
        # HELLO -->
        node.flush()
        hello = node.take()
        self.assertEqual(hello.hex(), said["HELLO of the initiator"])
        # <-- HELLO
        home.link.receive(hello)
        answer = home.take()
        self.assertEqual(answer.hex(), said["HELLO of the responder"])
        # PING, OPEN -->
        node.link.receive(answer)
        dialog = node.link.open(example.SERVICE, example.DIALOG_ID, node)
        opening = node.take()
        self.assertEqual(opening.hex(), said["PING"] + said["OPEN"])
        # <-- PONG, ACCEPT
        home.link.receive(opening)
        accepting = home.take()
        self.assertEqual(accepting.hex(), said["PONG"] + said["ACCEPT"])
        # DATA -->
        node.link.receive(accepting)
        dialog.write(example.DATA)
        data = node.take()
        self.assertEqual(data.hex(), said["DATA"])
        home.link.receive(data)
        self.assertEqual(home.heard, example.DATA)

    def schedule(self, dialog: bytes) -> LinkSchedule:
        return LinkSchedule(Suite.AES_256_GCM, PRF_HMAC_SHA2_256, Secret(dialog))


class PageTests(SynchronousTestCase):
    def test_the_page_is_what_the_script_writes(self) -> None:
        self.assertEqual(example.FILE.read_text(encoding="utf-8"), example.render())
