"""Exchanges that stop where one message is about to arrive: what attackers and fuzzers work on.

A `Scene` names a message and the policies with which it occurs; `Scene.play`
runs a new exchange up to it. The message itself is lost, so whoever plays the
attacker says what arrives in its place, and when.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final, TypeAlias

from attrs import frozen

from seckex.sa.policy import Policy
from seckex.wire.numbers import Kind
from tests.conversation import AES, CHACHA, HOME, INDISPENSABLE, NODE, policy, sealing
from tests.link import Datagram, Fault, lose, on
from tests.pump import Host, Network

TWO_ROUNDS: Final = policy(sealing("chacha20-poly1305"), sealing("aes-256-gcm"), open_with=1)
NOTHING: Final = Policy((), INDISPENSABLE)

Hosts: TypeAlias = tuple[Host, Host]


def acquainted(network: Network, ours: Policy, theirs: Policy) -> Hosts:
    """Return an initiator and a responder that share KEY 0, running."""
    node, home = network.host(NODE), network.host(HOME)
    node.knows(home, ours)
    home.knows(node, theirs)
    node.start()
    home.start()
    return node, home


def want(node: Host, home: Host) -> None:
    """Begin an exchange under KEY 0."""
    node.want(home)


@frozen
class Stage:
    """A network on which ``datagram`` was about to arrive at ``host``, sent by ``sender``."""

    network: Network
    node: Host
    home: Host
    datagram: Datagram

    @property
    def host(self) -> Host:
        """To whom it goes."""
        return self.network.hosts[self.datagram.destination]

    @property
    def sender(self) -> Host:
        """From whom it comes."""
        return self.network.hosts[self.datagram.source]


@frozen
class Scene:
    """``label`` is the message as `tests.link.label` has it, ``kind`` its kind, ``mode`` what vouches for it."""

    mode: str
    label: str
    kind: Kind
    ours: Policy = AES
    theirs: Policy = AES
    arrange: Callable[[Network, Policy, Policy], Hosts] = acquainted
    begin: Callable[[Host, Host], None] = want
    refused: bool = False

    def __str__(self) -> str:
        return f"{self.label.replace(' ', '_')}_by_{self.mode.replace(' ', '_')}"

    def play(self, fault: Fault = lose, times: int = 1, seed: int = 1) -> Stage:
        """Run a new exchange up to the message, which suffers ``fault``."""
        network = Network(seed)
        node, home = self.arrange(network, self.ours, self.theirs)
        network.faults = [on(self.label, fault, times)]
        said = len(network.sent)
        self.begin(node, home)
        network.run_until(partial(self._said, network, said))
        return Stage(network, node, home, network.last(self.label))

    def _said(self, network: Network, said: int) -> bool:
        return any(datagram.called(self.label) for datagram in network.sent[said:])


BY_KEY_0: Final = (
    Scene("key 0", "OFFER 1", Kind.OFFER),
    Scene("key 0", "CHOICE 1", Kind.CHOICE),
    Scene("key 0", "CONFIRM", Kind.CONFIRM),
    Scene("key 0", "CONFIRMED", Kind.CONFIRMED),
    Scene("key 0", "COUNTER 1", Kind.COUNTER, TWO_ROUNDS),
    Scene("key 0", "OFFER 2", Kind.OFFER, TWO_ROUNDS),
    Scene("key 0", "CHOICE 2", Kind.CHOICE, TWO_ROUNDS),
    Scene("key 0", "REFUSAL 1", Kind.REFUSAL, AES, NOTHING, refused=True),
    Scene("key 0", "ABANDON 2", Kind.ABANDON, CHACHA, refused=True),
)

SCENES: Final = BY_KEY_0
