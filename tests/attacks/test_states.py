"""Every stage of every exchange with every message there is, of this exchange and of others, at either end."""

from __future__ import annotations

from functools import cache

from seckex.wire.numbers import MESSAGE_TYPE, Kind
from tests.attacks.scenes import SCENES
from tests.attacks.test_exchange import HINTS, STRANGER, Attacked
from tests.pump import KEY0_SPI
from tests.wire.roaming import forms


def kind_of(octets: bytes) -> Kind:
    """Return the kind of a message."""
    return Kind(int.from_bytes(octets[2:4], "big"))


@cache
def others() -> tuple[bytes, ...]:
    """Return a message of each scene, of exchanges of the same two principals at another time."""
    return tuple(scene.play(seed=99).datagram.octets for scene in SCENES)


@cache
def of_the_roaming_network() -> tuple[bytes, ...]:
    """Return messages that two principals do not say to each other: of registrations, advertisements and hops."""
    return tuple(octets for form in forms() for _name, octets in form.samples)


def fresh(octets: bytes) -> bool:
    """Tell whether this is an offer that anybody may take for a new one: under KEY 0, or by certificates."""
    return kind_of(octets) is Kind.OFFER and int.from_bytes(octets[12:16], "big") in (KEY0_SPI, 0)


class StateTests(Attacked):
    def test_every_kind_is_tried(self) -> None:
        kinds = {kind_of(octets) for octets in (*others(), *of_the_roaming_network()) if octets[0] == MESSAGE_TYPE}
        self.assertEqual(kinds | HINTS, set(Kind))

    def test_messages_of_other_exchanges_at_every_stage(self) -> None:
        for scene in SCENES:
            stage = scene.play()
            for host in (stage.node, stage.home):
                self.unmoved(stage, host, (octets for octets in others() if not fresh(octets)))
            self.completes(scene, stage)

    def test_messages_of_the_same_exchange_at_every_stage(self) -> None:
        for scene in SCENES:
            stage = scene.play()
            for host in (stage.node, stage.home):
                # What was said before is known, or was meant for the other.
                earlier = [sent.octets for sent in stage.network.sent if sent.octets != stage.datagram.octets]
                if scene.mode == "certificates":
                    earlier = [octets for octets in earlier if not fresh(octets)]
                if earlier:
                    self.unmoved(stage, host, earlier)
            self.completes(scene, stage)

    def test_messages_of_the_roaming_network_at_every_stage(self) -> None:
        for scene in SCENES:
            stage = scene.play()
            for host in (stage.node, stage.home):
                self.unmoved(stage, host, of_the_roaming_network())
            self.completes(scene, stage)

    def test_all_messages_at_who_has_nothing_under_way(self) -> None:
        for scene in SCENES:
            stage = scene.play()
            idle = stage.network.host("idle@example.com")
            idle.knows(stage.node, scene.ours, key=bytes(32))
            idle.start()
            self.unmoved(stage, idle, [*others(), *(sent.octets for sent in stage.network.sent)])

    def test_all_messages_after_the_end(self) -> None:
        for scene in SCENES:
            stage = scene.play(lambda datagram: (datagram,))
            stage.network.run(0.9)
            for host in (stage.node, stage.home):
                self.unmoved(stage, host, [sent.octets for sent in stage.network.sent], STRANGER)
