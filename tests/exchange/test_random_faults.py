"""Links and daemons that misbehave at random: never two truths, and once they behave an association comes about."""

from __future__ import annotations

import random
from collections.abc import Iterator

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from seckex.sa.policy import Policy
from seckex.sa.store import Outcome
from tests.conversation import AES, ConversationCase, policy, sealing
from tests.exchange.test_faults import AGREEING
from tests.link import Datagram, Fault, flipped
from tests.pump import Host

SHORT = policy(sealing("aes-256-gcm", lifetime=90))
POLICIES = [(ours, theirs) for ours, theirs, _ in AGREEING] + [(SHORT, SHORT)]
shares = st.sampled_from((0.0, 0.1, 0.3, 0.6))


def chaos(draw: random.Random, loss: float, doubling: float, lateness: float, damage: float) -> Fault:
    """Return a link that does all of this to its datagrams, each with its own probability."""

    def fault(datagram: Datagram) -> Iterator[Datagram]:
        while True:
            if draw.random() >= loss:
                octets = datagram.octets
                if draw.random() < damage:
                    octets = flipped(octets, draw.randrange(8 * len(octets)))
                if draw.random() < damage / 2:
                    octets = octets[: draw.randrange(len(octets))]
                delay = draw.uniform(0.001, 3.0) if draw.random() < lateness else draw.uniform(0.001, 0.05)
                yield evolve(datagram, octets=octets, delay=delay)
            if draw.random() >= doubling:
                return

    return fault


def misfortune(draw: random.Random, hosts: tuple[Host, Host], probability: float) -> None:
    """Let something happen to one of the hosts, perhaps."""
    if draw.random() < probability:
        host = draw.choice(hosts)
        what = draw.choice(("restart", "lost outcome", "disk full", "conflict", "slow", "clock", "renew"))
        following = len(host.units) + 1
        if what == "restart":
            host.restart()
        elif what == "lost outcome":
            host.lost_outcomes.add(following)
        elif what == "disk full":
            host.commit_faults[following] = "disk full"
        elif what == "conflict":
            host.commit_faults[following] = Outcome.CONFLICT
        elif what == "slow":
            host.commit_delay = draw.choice((0.0, 0.2, 3.0))
        elif what == "clock":
            host.skew += draw.choice((-7200.0, -20.0, 20.0, 7200.0))
        elif host.ready:
            host.renew()


class RandomFaultTests(ConversationCase):
    @settings(max_examples=60, deadline=None)
    @given(
        st.integers(0, 1 << 32),
        st.sampled_from(POLICIES),
        st.tuples(shares, shares, shares, shares),
        st.sampled_from((0.0, 0.02, 0.1)),
    )
    def test_once_faults_end_an_association_comes_about(
        self, seed: int, policies: tuple[Policy, Policy], link: tuple[float, float, float, float], trouble: float
    ) -> None:
        draw = random.Random(seed)  # noqa: S311  # has to repeat itself
        self.anew()
        self.network.seed = seed
        node, home = self.pair(*policies)
        both = draw.random() < 0.3
        node.lazy, home.lazy = draw.random() < 0.5, draw.random() < 0.5
        self.network.faults = [chaos(draw, *link)]
        self.network.before_step = lambda _ordinal: misfortune(draw, (node, home), trouble)
        node.want(home)
        if both:
            home.want(node)
        # Whatever happens here, the network has nobody hold one pair of SPIs with two sets of keys.
        self.network.run(60)

        self.network.faults, self.network.before_step = [], lambda _ordinal: None
        for host in (node, home):
            host.commit_faults.clear()
            host.lost_outcomes.clear()
            host.commit_delay = 0.0
        self.network.run(130)
        for host, other in ((node, home), (home, node)) if both else ((node, home),):
            self.comes_about(host, other)

    def comes_about(self, node: Host, home: Host) -> None:
        """Do what links do, use the association or hear that it is not known, until both hold one."""
        for _ in range(4):
            ours = node.ready[-1]
            theirs = home.node.usable(ours.spi_out, home.now())
            if node.node.usable(ours.spi_in, node.now()) and theirs is not None:
                home.proves(theirs)
                break
            node.renew()
            self.network.run(65)
        self.assertIsNotNone(theirs)
        self.assertEqual(theirs and theirs.keys, ours.keys)
        self.assertEqual(theirs and (theirs.spi_out, theirs.agreement), (ours.spi_in, ours.agreement))
        self.assertLessEqual(node.counters["unconfirmed"], 1)

    def test_a_seed_repeats_octet_for_octet(self) -> None:
        said = []
        for _ in range(2):
            draw = random.Random(7)  # noqa: S311  # has to repeat itself
            self.anew()
            node, home = self.pair(AES, AES)
            self.network.faults = [chaos(draw, 0.3, 0.3, 0.3, 0.3)]
            node.want(home)
            self.network.run(60)
            said.append([datagram.octets for datagram in self.network.sent])
        self.assertEqual(said[0], said[1])
        self.assertGreater(len(said[0]), 4)
