"""Exchanges that stop where one message is about to arrive: what attackers and fuzzers work on.

A `Scene` names a message and the policies with which it occurs; `Scene.play`
runs a new exchange up to it. The message itself is lost, so whoever plays the
attacker says what arrives in its place, and when.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Final, TypeAlias

from attrs import evolve, frozen

from seckex.node.limits import Flood, Limits
from seckex.sa.policy import Policy
from seckex.wire.numbers import Kind, ProtocolId
from tests.conversation import AES, CHACHA, HOME, INDISPENSABLE, NODE, policy, proposal, sealing
from tests.crypto.certified import Maker, trust
from tests.link import Datagram, Fault, lose, on
from tests.pump import Host, Network

TWO_ROUNDS: Final = policy(sealing("chacha20-poly1305"), sealing("aes-256-gcm"), open_with=1)
NOTHING: Final = Policy((), INDISPENSABLE)
#: Associations that can have no links, and so are asked after.
UNSEALED: Final = Policy((proposal("hmac-sha-256 prf-hmac-sha-256 x25519"),), frozenset((ProtocolId.PRF,)))

#: What anybody is told who asks for what there is not.
UNPROVEN: Final = ("VERSIONS", "UNKNOWN", "COOKIE", "USE_TCP")

Hosts: TypeAlias = tuple[Host, Host]


def acquainted(network: Network, ours: Policy, theirs: Policy) -> Hosts:
    """Return an initiator and a responder that share KEY 0, running."""
    node, home = network.host(NODE), network.host(HOME)
    node.knows(home, ours)
    home.knows(node, theirs)
    node.start()
    home.start()
    return node, home


def guarded(network: Network, ours: Policy, theirs: Policy) -> Hosts:
    """Return two that share KEY 0, of whom the responder asks everybody for a cookie."""
    node, home = network.host(NODE), network.host(HOME, Limits(flood=Flood(cookies="always")))
    node.knows(home, ours)
    home.knows(node, theirs)
    node.start()
    home.start()
    return node, home


def certified(network: Network, ours: Policy, theirs: Policy) -> Hosts:
    """Return two that know each other by certificate, running."""
    node, home = network.host(NODE), network.host(HOME)
    root = Maker.root()
    node.certifies(home, ours, root.identity(NODE), trust(root))
    home.certifies(node, theirs, root.identity(HOME), trust(root))
    node.start()
    home.start()
    return node, home


def renewing(network: Network, ours: Policy, theirs: Policy) -> Hosts:
    """Return both ends of an association, whose policies are others since."""
    node, home = associated(network, AES, AES)
    node.knows(home, ours)
    home.knows(node, theirs)
    for host in (node, home):
        host.restart()
    return node, home


def associated(network: Network, ours: Policy, theirs: Policy) -> Hosts:
    """Return both ends of an association."""
    node, home = acquainted(network, ours, theirs)
    node.want(home)
    network.run(1)
    return node, home


def rekey(node: Host, home: Host) -> None:
    """Begin an exchange under the association."""
    node.rekey(home)


def down(node: Host, home: Host) -> None:
    """End the association."""
    node.down(home)


def wait(_node: Host, _home: Host) -> None:
    """Do nothing: it comes by itself."""


def want(node: Host, home: Host) -> None:
    """Begin an exchange under KEY 0."""
    node.want(home)


@frozen
class Stage:
    """A network on which ``datagram`` was about to arrive at ``host``, sent by ``sender``, as ``scene`` has it."""

    scene: Scene
    network: Network
    node: Host
    home: Host
    datagram: Datagram

    @property
    def host(self) -> Host:
        """To whom it goes."""
        return self.network.hosts[self.datagram.destination._replace(tcp=False)]

    @property
    def sender(self) -> Host:
        """From whom it comes."""
        return self.network.hosts[self.datagram.source._replace(tcp=False)]


@frozen(eq=False)
class Scene:
    """``label`` is the message as `tests.link.label` has it, ``kind`` its kind, ``mode`` what vouches for it.

    ``skip`` is how many that are called so pass before it, ``special`` what then tells it from them.
    """

    mode: str
    label: str
    kind: Kind
    ours: Policy = AES
    theirs: Policy = AES
    arrange: Callable[[Network, Policy, Policy], Hosts] = acquainted
    begin: Callable[[Host, Host], None] = want
    skip: int = 0
    special: str = ""

    def __str__(self) -> str:
        return f"{self.label}{self.special} by {self.mode}".replace(" ", "_")

    def play(self, fault: Fault = lose, times: int = 1, seed: int = 1) -> Stage:
        """Run a new exchange up to the message, which suffers ``fault``."""
        network = Network(seed)
        node, home = self.arrange(network, self.ours, self.theirs)
        network.faults = [self._after_others(on(self.label, fault, times))]
        said = len(network.sent)
        self.begin(node, home)
        network.run_until(partial(self._said, network, said))
        return Stage(self, network, node, home, self._named(network, said)[self.skip])

    def _after_others(self, fault: Fault) -> Fault:
        left = self.skip

        def apply(datagram: Datagram) -> Iterable[Datagram]:
            nonlocal left
            if left and datagram.called(self.label):
                left -= 1
                return (datagram,)
            return fault(datagram)

        return apply

    def _named(self, network: Network, said: int) -> list[Datagram]:
        return [datagram for datagram in network.sent[said:] if datagram.called(self.label)]

    def _said(self, network: Network, said: int) -> bool:
        return len(self._named(network, said)) > self.skip


BY_KEY_0: Final = (
    Scene("key 0", "OFFER 1", Kind.OFFER),
    Scene("key 0", "CHOICE 1", Kind.CHOICE),
    Scene("key 0", "CONFIRM", Kind.CONFIRM),
    Scene("key 0", "CONFIRMED", Kind.CONFIRMED),
    Scene("key 0", "COUNTER 1", Kind.COUNTER, TWO_ROUNDS),
    Scene("key 0", "OFFER 2", Kind.OFFER, TWO_ROUNDS),
    Scene("key 0", "CHOICE 2", Kind.CHOICE, TWO_ROUNDS),
    Scene("key 0", "REFUSAL 1", Kind.REFUSAL, AES, NOTHING),
    Scene("key 0", "ABANDON 2", Kind.ABANDON, CHACHA),
    Scene("key 0", "OFFER 1", Kind.OFFER, AES, AES, guarded, skip=1, special=" with cookie"),
    Scene("key 0", "OFFER 2", Kind.OFFER, TWO_ROUNDS, AES, guarded, skip=1, special=" with cookie"),
)

BY_ASSOCIATION: Final = (
    *(evolve(scene, mode="association", arrange=renewing, begin=rekey) for scene in BY_KEY_0 if not scene.special),
    Scene("association", "PROBE", Kind.PROBE, UNSEALED, UNSEALED, associated, wait),
    Scene("association", "PRESENT", Kind.PRESENT, UNSEALED, UNSEALED, associated, wait),
    Scene("association", "DELETE", Kind.DELETE, AES, AES, associated, down),
    Scene("association", "DELETED", Kind.DELETED, AES, AES, associated, down),
)

BY_CERTIFICATES: Final = tuple(
    evolve(scene, mode="certificates", arrange=certified)
    for scene in BY_KEY_0
    if scene.kind is not Kind.ABANDON and not scene.special
)

SCENES: Final = (*BY_KEY_0, *BY_ASSOCIATION, *BY_CERTIFICATES)

#: What nothing has vouched for when it is said: it is part of what is vouched for later.
UNVOUCHED: Final = frozenset(
    scene for scene in BY_CERTIFICATES if scene.kind in (Kind.OFFER, Kind.COUNTER, Kind.REFUSAL)
)
