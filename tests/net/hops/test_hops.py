"""Hops by TLS between principals on loopback: what goes over them, who may have one, and how they end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from cryptography.x509 import load_der_x509_certificate

from seckex.config.credentials import Credentials
from seckex.config.hops import Hop, HopsListen
from seckex.events.hops import HopClosed, HopFailed, HopOpened, HopRefused
from seckex.net.hops import incoming, outgoing
from seckex.net.hops.connection import HopConnection
from seckex.wire.numbers import Code, Kind, Security
from tests.crypto.certified import DAY, NOW, Maker, trust
from tests.net.hops.parts import AGENT, HOME, RELAY, ROOT, HopsCase, Party, answer, credentials, reactor, request

ROOT_OF_OTHERS = Maker.root("of others")
DATES: Final[tuple[tuple[dict[str, Any], str], ...]] = (
    ({"until": NOW - 1}, "expired at"),
    ({"since": NOW + 60}, "begins at"),
)
SECURE, REACH = Code.NO_SECURE_HOP, Code.NEXT_HOP_UNREACHABLE


class ConversationTests(HopsCase):
    async def test_a_request_and_its_answer(self) -> None:
        agent, relay = await self.pair()
        self.assertEqual(relay.heard, [(AGENT, request(1))])
        relay.hops.send(AGENT, answer(1))
        await self.until(lambda: agent.heard)
        self.assertEqual(agent.heard, [(RELAY, answer(1))])
        self.assertEqual([(event.neighbour, event.asked) for event in relay.told(HopOpened)], [(AGENT, True)])
        self.assertEqual([(event.neighbour, event.asked) for event in agent.told(HopOpened)], [(RELAY, False)])
        self.assertEqual(agent.hops.security(RELAY), Security.TLS)

    async def test_many_under_way_and_large_ones_over_one_connection(self) -> None:
        agent, relay = await self.pair()
        sizes = [16384 - 16 if number % 10 == 0 else number for number in range(2, 400)]
        said = [request(number, size=size) for number, size in enumerate(sizes, 2)]
        for octets in said:
            agent.hops.send(RELAY, octets)
        await self.until(lambda: len(relay.heard) == 399)
        self.assertEqual([octets for _, octets in relay.heard[1:]], said)
        for number in range(399, 0, -1):
            relay.hops.send(AGENT, answer(number))
        await self.until(lambda: len(agent.heard) == 399)
        self.assertEqual([octets for _, octets in agent.heard], [answer(number) for number in range(399, 0, -1)])
        self.assertEqual(len(agent.told(HopOpened)), 1)

    async def test_what_was_said_while_it_was_made(self) -> None:
        relay = Party(self, RELAY, accept=(AGENT,)).listen()
        agent = Party(self, AGENT, relay.hop())
        for number in range(1, 6):
            agent.hops.send(RELAY, request(number))
        self.assertEqual(agent.hops.status()[0]["state"], "connecting")
        await self.until(lambda: len(relay.heard) == 5)
        self.assertEqual(relay.heard, [(AGENT, request(number)) for number in range(1, 6)])

    async def test_a_request_to_a_neighbour_that_has_come(self) -> None:
        agent, relay = await self.pair()
        relay.hops.send(AGENT, request(5, Kind.CHANGED))
        await self.until(lambda: agent.heard)
        self.assertEqual(agent.heard, [(RELAY, request(5, Kind.CHANGED))])
        self.assertEqual(relay.hops.security(AGENT), Security.TLS)
        self.assertEqual((relay.hops.security(HOME), relay.hops.counters["hops.accepted"]), (Security.NONE, 1))

    async def test_everybody_of_a_realm(self) -> None:
        relay = Party(self, RELAY, accept=("*@visited.example",)).listen()
        for nai in (AGENT, "another@visited.example"):
            await self.said(Party(self, nai, relay.hop()), relay)
        code, _ = await self.refused(Party(self, HOME, relay.hop()), RELAY)
        self.assertEqual(code, SECURE)

    async def test_both_make_one_to_the_other(self) -> None:
        home = Party(self, HOME, Hop(nai=RELAY, address="127.0.0.1", port=1)).listen()
        relay = Party(self, RELAY, home.hop()).listen()
        home.hops.reconfigure((relay.hop(),), HopsListen(), home.credentials)
        await self.said(relay, home, 1)
        await self.said(home, relay, 1)
        home.hops.send(RELAY, answer(1))
        relay.hops.send(HOME, answer(1))
        await self.until(lambda: len(home.heard) + len(relay.heard) == 4)
        self.assertEqual([party.hops.counters["hops.made"] for party in (home, relay)], [1, 1])

    async def test_an_answer_goes_where_it_was_asked_for(self) -> None:
        relay = Party(self, RELAY, accept=(AGENT,)).listen()
        workers = [Party(self, AGENT, relay.hop()) for _ in range(3)]
        for number, worker in enumerate(workers):
            await self.said(worker, relay, number)
        for number in (1, 0, 2):
            relay.hops.send(AGENT, answer(number))
        await self.until(lambda: all(worker.heard for worker in workers))
        self.assertEqual([worker.heard for worker in workers], [[(RELAY, answer(number))] for number in range(3)])

    async def test_an_answer_whose_asker_has_come_again_and_one_whose_has_not(self) -> None:
        agent, relay = await self.pair()
        await agent.stopped()
        await self.until(lambda: relay.hops.counters["hops.accepted"] == 0)
        relay.hops.send(AGENT, answer(1))
        self.assertEqual(relay.hops.counters["hops.answers-lost"], 1)
        again = Party(self, AGENT, relay.hop())
        await self.said(again, relay, 2)
        relay.hops.send(AGENT, answer(1))
        await self.until(lambda: again.heard)
        self.assertEqual(relay.unreachable, [])

    async def test_what_is_said_over_one_that_was_just_dropped_comes_back(self) -> None:
        agent, relay = await self.pair()
        hop = agent.hops._outgoing[RELAY].hop
        assert hop is not None
        hop.abort("nobody vouches for it")
        self.assertEqual(await self.refused(agent, RELAY), (REACH, "nobody vouches for it"))
        self.assertEqual(len(relay.heard), 1)

    async def test_nothing_is_said_after_the_end(self) -> None:
        agent, relay = await self.pair()
        await agent.stopped()
        agent.hops.send(RELAY, request(2))
        self.assertEqual(agent.hops.status()[0]["state"], "idle")
        self.assertEqual((agent.unreachable, len(relay.heard)), ([], 1))


class NameTests(HopsCase):
    async def test_somebody_else_answers(self) -> None:
        other = Party(self, HOME, accept=(AGENT,)).listen()
        agent = Party(self, AGENT, Hop(nai=RELAY, address="127.0.0.1", port=other.port))
        self.assertEqual(await self.refused(agent, RELAY), (SECURE, f"it is {HOME}, not {RELAY}"))
        self.assertEqual([event.code for event in agent.told(HopFailed)], [SECURE])
        self.assertEqual(other.heard, [])

    async def test_somebody_comes_who_is_no_neighbour(self) -> None:
        relay = Party(self, RELAY, accept=(AGENT,)).listen()
        stranger = Party(self, HOME, relay.hop())
        code, why = await self.refused(stranger, RELAY)
        self.assertEqual(
            (code, why), (SECURE, f"{RELAY} closed it without a welcome: its log tells why it does not take us")
        )
        self.assertEqual(
            [event.why for event in relay.told(HopRefused)], [f"{HOME} is neither among hops nor in hops-listen.accept"]
        )
        self.assertEqual((relay.heard, relay.hops.counters["hops.refused"]), ([], 1))

    async def test_somebody_comes_with_our_own_name(self) -> None:
        relay = Party(self, RELAY, accept=("*@visited.example",)).listen()
        other = Party(self, RELAY, Hop(nai=RELAY, address="127.0.0.1", port=relay.port))
        code, _ = await self.refused(other, RELAY)
        self.assertEqual(code, SECURE)
        self.assertIn("our own name", relay.told(HopRefused)[0].why)

    async def test_who_is_not_configured_and_has_not_come(self) -> None:
        agent = Party(self, AGENT)
        code, why = await self.refused(agent, RELAY)
        self.assertEqual((code, why), (REACH, f"{RELAY} is not among hops, and has made no hop to us"))


class CertificateTests(HopsCase):
    async def between(self, relay_has: Credentials, agent_has: Credentials) -> tuple[Party, Party, int, str]:
        """Return both, and what came of a hop that does not come about."""
        relay = Party(self, RELAY, accept=(AGENT,), credentials=relay_has).listen()
        agent = Party(self, AGENT, relay.hop(), credentials=agent_has)
        code, why = await self.refused(agent, RELAY)
        await self.until(lambda: relay.told(HopRefused))
        self.assertEqual(relay.heard, [])
        return agent, relay, code, why

    async def test_what_is_wrong_with_who_answers(self) -> None:
        for how, said in DATES:
            _, relay, code, why = await self.between(credentials(RELAY, **how), credentials(AGENT))
            self.assertEqual(code, SECURE)
            self.assertIn(said, why)
            self.assertIn("alert", relay.told(HopRefused)[0].why)

    async def test_what_is_wrong_with_who_comes(self) -> None:
        for how, said in DATES:
            _, relay, code, why = await self.between(credentials(RELAY), credentials(AGENT, **how))
            self.assertEqual(code, SECURE)
            self.assertIn("alert", why)
            self.assertIn(said, relay.told(HopRefused)[0].why)

    async def test_an_authority_that_is_not_trusted(self) -> None:
        others = credentials(RELAY, ROOT_OF_OTHERS)
        _, _, code, why = await self.between(others, credentials(AGENT))
        self.assertEqual(code, SECURE)
        self.assertIn("nobody who is trusted has issued", why)
        _, relay, code, _ = await self.between(credentials(RELAY), credentials(AGENT, ROOT_OF_OTHERS))
        self.assertEqual(code, SECURE)
        self.assertIn("nobody who is trusted has issued", relay.told(HopRefused)[0].why)

    async def test_who_was_revoked(self) -> None:
        for revoked in (RELAY, AGENT):
            mine, theirs = credentials(AGENT), credentials(RELAY)
            judge, judged = (mine, theirs) if revoked == RELAY else (theirs, mine)
            listed = trust(ROOT, lists=[ROOT.revoked(load_der_x509_certificate(judged.identity.chain[0]))])
            judge = Credentials(judge.identity, listed)
            pair = (theirs, judge) if revoked == RELAY else (judge, mine)
            agent, relay, code, why = await self.between(*pair)
            told = why if revoked == RELAY else relay.told(HopRefused)[0].why
            self.assertEqual((code, "was revoked by" in told), (SECURE, True), told)
            self.assertEqual(agent.heard, [])

    async def test_a_chain_with_somebody_between(self) -> None:
        between = ROOT.under("between")
        relay = Party(self, RELAY, accept=(AGENT,), credentials=credentials(RELAY, between)).listen()
        await self.said(Party(self, AGENT, relay.hop(), credentials=credentials(AGENT, between)), relay)

    async def test_without_certificates_nothing_is_said(self) -> None:
        relay = Party(self, RELAY, accept=(AGENT,)).listen()
        agent = Party(self, AGENT, relay.hop())
        agent.hops.reconfigure((relay.hop(),), HopsListen(), None)
        code, why = await self.refused(agent, RELAY)
        self.assertEqual((code, why), (SECURE, "nothing is configured that would secure it"))
        self.assertEqual(relay.hops.counters["hops.refused"], 0)


class ReloadTests(HopsCase):
    async def test_who_is_revoked_is_out_at_once(self) -> None:
        for revoking in (0, 1):
            pair = await self.pair()
            judge, judged = pair[revoking], pair[1 - revoking]
            judge.trusts(ROOT.revoked(load_der_x509_certificate(judged.credentials.identity.chain[0])))
            await self.until(lambda judge=judge: judge.told(HopClosed))
            self.assertIn("was revoked by", judge.told(HopClosed)[0].why)

    async def test_other_people_are_trusted(self) -> None:
        agent, relay = await self.pair()
        relay.credentials = Credentials(relay.credentials.identity, trust(ROOT_OF_OTHERS))
        relay.again()
        await self.until(lambda: relay.told(HopClosed) and agent.told(HopClosed))

    async def test_a_list_that_revokes_somebody_else_changes_nothing(self) -> None:
        agent, relay = await self.pair()
        relay.trusts(ROOT.revoked(ROOT.certify("somebody@else.example")))
        await self.said(agent, relay, 2)
        self.assertEqual((len(agent.told(HopOpened)), relay.told(HopClosed)), (1, []))

    async def test_a_new_certificate_counts_for_new_connections(self) -> None:
        agent, relay = await self.pair()
        agent.credentials = credentials(AGENT, until=NOW + 5 * DAY)
        agent.again()
        await self.said(agent, relay, 2)
        self.assertEqual(len(agent.told(HopOpened)), 1)
        # The old one has come to its end, the new one has not.
        relay.wall = agent.wall = NOW + 4 * DAY
        other = Party(self, AGENT, relay.hop(), credentials=credentials(AGENT, until=NOW + 3 * DAY))
        other.wall = NOW + 4 * DAY
        code, _ = await self.refused(other, RELAY)
        self.assertEqual(code, SECURE)
        other.credentials = agent.credentials
        other.again()
        await self.until(lambda: other.hops.status()[0]["state"] == "up")

    async def test_a_certificate_that_ends_ends_its_connection(self) -> None:
        relay = Party(self, RELAY, accept=(AGENT,)).listen()
        agent = Party(self, AGENT, relay.hop(), until=NOW + 100)
        await self.said(agent, relay)
        relay.wall = NOW + 101
        relay.hops._look()
        await self.until(lambda: relay.told(HopClosed))
        self.assertIn("expired at", relay.told(HopClosed)[0].why)

    async def test_who_is_no_neighbour_any_more(self) -> None:
        agent, relay = await self.pair()
        relay.hops.reconfigure((), HopsListen(), relay.credentials)
        await self.until(lambda: relay.told(HopClosed))
        self.assertEqual(relay.told(HopClosed)[0].why, f"{AGENT} is no neighbour any more")
        agent.hops.reconfigure((), HopsListen(), agent.credentials)
        code, _ = await self.refused(agent, RELAY)
        self.assertEqual(code, REACH)

    async def test_a_neighbour_that_has_moved(self) -> None:
        agent, relay = await self.pair()
        elsewhere = Party(self, RELAY, accept=(AGENT,)).listen()
        agent.hops.reconfigure((elsewhere.hop(),), HopsListen(), agent.credentials)
        await self.said(agent, elsewhere, 2)
        await self.until(lambda: relay.told(HopClosed))


class TroubleTests(HopsCase):
    async def test_nobody_listens(self) -> None:
        relay = Party(self, RELAY, accept=(AGENT,)).listen()
        await relay.stopped()
        agent = Party(self, AGENT, relay.hop())
        code, why = await self.refused(agent, RELAY)
        self.assertEqual(code, REACH)
        self.assertIn("refused", why)
        # It is known now, and told without another attempt.
        self.assertEqual(await self.refused(agent, RELAY), (code, why))
        self.assertEqual(len(agent.told(HopFailed)), 1)
        self.assertEqual(
            agent.hops.status(), [{"nai": RELAY, "security": "tls", "state": "down", "accepted": 0, "why": why}]
        )

    async def test_a_neighbour_that_has_ended_and_comes_back(self) -> None:
        agent, relay = await self.pair()
        await relay.stopped()
        await self.until(lambda: agent.told(HopClosed))
        back = Party(self, RELAY, accept=(AGENT,)).listen(relay.port)
        await self.until(lambda: agent.hops.status()[0]["state"] == "up")
        await self.said(agent, back, 2)
        self.assertEqual(len(agent.told(HopOpened)), 2)

    async def test_a_connection_that_is_cut_is_made_again(self) -> None:
        agent, relay = await self.pair()
        for hop in relay.hops._incoming:
            hop.abort("the test")
        await self.until(lambda: len(agent.told(HopOpened)) == 2)
        await self.said(agent, relay, 2)

    async def test_who_does_not_read(self) -> None:
        self.patch(outgoing, "MOST_WAITING", 2**17)
        agent, relay = await self.pair()
        (there,) = relay.hops._incoming
        there.transport.pauseProducing()
        said = 1
        while not agent.unreachable:
            said += 1
            agent.hops.send(RELAY, request(said, size=16000))
            await self.soon()
        _, octets, why, code = agent.unreachable[0]
        self.assertEqual(
            (octets, why, code), (request(said, size=16000), "too much waits to be said there already", REACH)
        )
        there.transport.resumeProducing()
        await self.until(lambda: len(relay.heard) == said - 1)
        self.assertEqual([octets[4:12] for _, octets in relay.heard], [n.to_bytes(8, "big") for n in range(1, said)])

    async def test_who_does_not_take_answers_is_not_read_from(self) -> None:
        agent, relay = await self.pair()
        made = agent.hops._outgoing[RELAY].hop
        (there,) = relay.hops._incoming
        if made is None:
            self.fail("there is no hop")
        made.transport.pauseProducing()
        number = await self.fill(there, lambda n: relay.hops.send(AGENT, request(n, Kind.CHANGED, 16000)))
        agent.hops.send(RELAY, request(2))
        await self.soon(10)
        self.assertEqual(len(relay.heard), 1)
        made.transport.resumeProducing()
        await self.until(lambda: len(relay.heard) == 2 and len(agent.heard) == number)

    async def test_what_waits_when_the_connection_goes_is_told(self) -> None:
        agent, relay = await self.pair()
        (there,) = relay.hops._incoming
        there.transport.pauseProducing()
        made = agent.hops._outgoing[RELAY].hop
        if made is None:
            self.fail("there is no hop")
        await self.fill(made, lambda _n: agent.hops.send(RELAY, request(2, size=16000)))
        agent.hops.send(RELAY, request(3))
        there.abort("the test")
        await self.until(lambda: agent.unreachable)
        self.assertEqual([octets for _, octets, _, _ in agent.unreachable], [request(3)])

    async def fill(self, hop: HopConnection, say: Callable[[int], object]) -> int:
        """Have things said until a hop is full and stays it: the system takes some more; return how many they were."""
        number = 0
        while not hop.full:
            number += 1
            say(number)
            await self.soon(10 if hop.full else 1)
        return number

    async def soon(self, times: int = 1) -> None:
        """Let the reactor go round."""
        seen: list[int] = []
        for number in range(times):
            reactor.callLater(0.001, seen.append, number)
        await self.until(lambda: len(seen) == times)


class RestTests(HopsCase):
    async def test_what_nobody_uses_is_closed_and_made_again(self) -> None:
        agent, relay = await self.pair()
        self.patch(outgoing, "IDLE_FOR", -1.0)
        agent.hops._look()
        await self.until(lambda: agent.told(HopClosed) and relay.told(HopClosed))
        self.assertEqual(agent.hops.status()[0]["state"], "idle")
        self.patch(outgoing, "IDLE_FOR", 300.0)
        await self.said(agent, relay, 2)

    async def test_nobody_goes_on_calling_whom_nobody_needs(self) -> None:
        relay = Party(self, RELAY, accept=(AGENT,)).listen()
        await relay.stopped()
        agent = Party(self, AGENT, relay.hop())
        await self.refused(agent, RELAY)
        self.patch(outgoing, "IDLE_FOR", -1.0)
        agent.hops._look()
        self.assertEqual(agent.hops.status()[0]["state"], "idle")

    async def test_one_that_came_and_is_not_used(self) -> None:
        agent, relay = await self.pair()
        self.patch(incoming, "IDLE_FOR", -1.0)
        relay.hops._look()
        await self.until(lambda: agent.told(HopClosed) and relay.told(HopClosed))
        self.assertEqual(relay.told(HopClosed)[0].why, "nobody has used it")

    async def test_when_the_daemon_stops_all_is_closed_and_nothing_said(self) -> None:
        agent, relay = await self.pair()
        await self.all_closed(agent, relay)
        agent.hops.send(RELAY, request(2))
        relay.hops.send(AGENT, answer(1))
        self.assertEqual((agent.unreachable, relay.unreachable), ([], []))

    async def all_closed(self, *parties: Party) -> None:
        for party in parties:
            await party.stopped()
        await self.until(lambda: all(party.told(HopClosed) for party in parties))

    async def test_it_stops_while_a_hop_is_made(self) -> None:
        relay = Party(self, RELAY, accept=(AGENT,)).listen()
        agent = Party(self, AGENT, relay.hop())
        agent.hops.send(RELAY, request(1))
        await agent.stopped()
        self.assertEqual(agent.unreachable, [])


class BoundTests(HopsCase):
    async def test_connections_of_one_neighbour(self) -> None:
        self.patch(incoming, "MOST_OF_ONE", 2)
        relay = Party(self, RELAY, accept=(AGENT,)).listen()
        workers = [Party(self, AGENT, relay.hop()) for _ in range(2)]
        for worker in workers:
            await self.said(worker, relay)
        third = Party(self, AGENT, relay.hop())
        await self.said(third, relay)
        await self.until(lambda: workers[0].told(HopClosed))
        self.assertEqual(workers[1].told(HopClosed), [])

    async def test_connections_in_all(self) -> None:
        self.patch(incoming, "MOST_HOPS_IN", 1)
        relay = Party(self, RELAY, accept=("*@visited.example", HOME)).listen()
        await self.said(Party(self, AGENT, relay.hop()), relay)
        code, _ = await self.refused(Party(self, HOME, relay.hop()), RELAY)
        self.assertEqual(code, SECURE)
        self.assertEqual(relay.told(HopRefused)[0].why, "there are 1 hops already")

    async def test_requests_whose_askers_are_remembered(self) -> None:
        self.patch(incoming, "MOST_ASKED", 3)
        agent, relay = await self.pair()
        for number in range(2, 9):
            await self.said(agent, relay, number)
        self.assertEqual(len(relay.hops._incoming._asked), 3)
        relay.hops.send(AGENT, answer(1))
        await self.until(lambda: agent.heard)
