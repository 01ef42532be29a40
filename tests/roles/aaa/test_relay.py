"""Registrations on their way through AAA servers: by realm, around those that fail, and never in a circle."""

from __future__ import annotations

import random
from functools import partial
from itertools import pairwise

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from seckex.config.aaa import Aaa
from seckex.events.aaa import NextHopFailed, RegistrationNotRelayed
from seckex.machine import Now
from seckex.roles.aaa import envelope
from seckex.roles.aaa.relay import ATTEMPT_WITHIN, KEPT_FOR, TROUBLED_FOR, AaaRelay
from seckex.roles.aaa.ways import Ways
from seckex.roles.faces import Relay
from seckex.wire import hop
from seckex.wire.hop import NotRelayed, Relayed, Route
from seckex.wire.numbers import MOST_HOPS, Code
from tests.roaming.hop import Parcel
from tests.roles.aaa.parts import AGENT, FIRST, FOREIGN, HOME, INSIDE, SECOND, Chain, refusing, route


class RoutingTests(SynchronousTestCase):
    def test_through_two_relays_and_back(self) -> None:
        chain = Chain().begin()
        chain.ask()
        self.assertEqual(chain.outcome(), Relayed(1, b"reply to" + INSIDE[:8]))
        (got,) = chain.answering.got
        self.assertEqual(got.message, INSIDE)
        self.assertEqual(got.route, Route(MOST_HOPS - 2, HOME, (AGENT, FOREIGN, FIRST)))
        self.assertEqual(
            chain.arrows(),
            [
                "agent ::> foreign RELAY",
                "foreign ::> one RELAY",
                "one ::> home RELAY",
                "home ::> one RELAYED",
                "one ::> foreign RELAYED",
                "foreign ::> agent RELAYED",
            ],
        )

    def test_each_hop_has_its_own_identification(self) -> None:
        chain = Chain().begin()
        chain.ask(number=7)
        chain.outcome()
        numbers = [hop.decode_hop(parcel.octets).identification for parcel in chain.told]
        self.assertEqual(numbers, [*numbers[:3], *reversed(numbers[:3])])
        self.assertEqual(len(set(numbers)), 3)
        self.assertEqual(chain.asking.last.identification, 7)

    def test_many_at_once_each_with_its_answer(self) -> None:
        chain = Chain().begin()
        for number in range(1, 41):
            chain.ask(number=number, inside=number.to_bytes(8, "big") + INSIDE)
        chain.run(2)
        found = {message.identification: message.message for _, message in chain.asking.got}
        self.assertEqual(found, {number: b"reply to" + number.to_bytes(8, "big") for number in range(1, 41)})
        self.assertEqual(chain.foreign.counters["aaa.pending"], 0)

    def test_a_realm_that_no_route_leads_to(self) -> None:
        chain = Chain().begin()
        chain.ask("home@elsewhere.example")
        refusal = chain.outcome()
        self.assertEqual(refusal.detail.code, Code.UNKNOWN_REALM)
        self.assertEqual(refusal.route.relayed, (AGENT, FOREIGN))
        self.assertEqual([event.code for event in chain.foreign.reported(RegistrationNotRelayed)], [270])

    def test_a_home_agent_that_its_realm_does_not_have(self) -> None:
        chain = Chain().begin()
        chain.ask("nobody@home.example")
        refusal = chain.outcome()
        self.assertEqual(refusal.detail.code, Code.UNKNOWN_HOME_AGENT)
        # Passed back as it was said, and nobody else is asked: another server of the realm would say the same.
        self.assertEqual(refusal.route.relayed, (AGENT, FOREIGN, FIRST))
        self.assertNotIn("foreign ::> two RELAY", chain.arrows())

    def test_a_route_for_all_other_realms(self) -> None:
        chain = Chain()
        chain.settings["foreign"] = Aaa(routes=(route("else.example", SECOND), route("*", FIRST)))
        chain.begin().ask()
        self.assertIsInstance(chain.outcome(), Relayed)

    def test_other_ways_after_a_reload(self) -> None:
        chain = Chain().begin()
        chain.ask(number=1)
        chain.outcome()
        chain.foreign.role(AaaRelay).reconfigure(Ways.of(Aaa(routes=(route("home.example", SECOND),))), 8)
        chain.ask(number=2)
        chain.outcome()
        self.assertEqual(chain.answering.got[-1].route.relayed, (AGENT, FOREIGN, SECOND))


class FailoverTests(SynchronousTestCase):
    def test_a_next_hop_that_cannot_be_reached(self) -> None:
        for how, code in (("refused", 280), ("unproved", 279)):
            chain = Chain().begin()
            getattr(chain, how).add(frozenset((FOREIGN, FIRST)))
            chain.ask()
            self.assertIsInstance(chain.outcome(), Relayed, code)
            self.assertEqual(chain.answering.got[0].route.relayed, (AGENT, FOREIGN, SECOND))
            self.assertEqual([event.neighbour for event in chain.foreign.reported(NextHopFailed)], [FIRST])

    def test_all_next_hops_fail(self) -> None:
        chain = Chain().begin()
        chain.refused.add(frozenset((FOREIGN, FIRST)))
        chain.unproved.add(frozenset((FOREIGN, SECOND)))
        chain.ask()
        refusal = chain.outcome()
        self.assertEqual(refusal.detail.code, Code.NO_SECURE_HOP)
        self.assertEqual(refusal.detail.text, f"{SECOND}: it does not prove its name")
        self.assertEqual(refusal.route.relayed, (AGENT, FOREIGN))

    def test_a_next_hop_that_has_no_way_itself(self) -> None:
        chain = Chain().begin()
        chain.refused.add(frozenset((FIRST, HOME)))
        chain.ask()
        self.assertIsInstance(chain.outcome(), Relayed)
        self.assertEqual(chain.answering.got[0].route.relayed, (AGENT, FOREIGN, SECOND))

    def test_refusals_upon_which_somebody_else_is_asked_and_upon_which_nobody_is(self) -> None:
        for code in (Code.ROUTING_LOOP, Code.NO_SECURE_HOP, Code.NEXT_HOP_UNREACHABLE, Code.INSUFFICIENT_RESOURCES):
            chain = Chain().begin()
            chain.answering.answer = refusing(code)
            chain.ask()
            chain.outcome()
            self.assertIn("foreign ::> two RELAY", chain.arrows(), code)
        for code in (Code.BEGIN_ANEW, Code.REPLAYED, Code.AGENT_NOT_ALLOWED, Code.UNKNOWN_DOMAIN):
            chain = Chain().begin()
            chain.answering.answer = refusing(code, "so it is")
            chain.ask()
            self.assertEqual((chain.outcome().detail.code, chain.asking.last.detail.text), (code, "so it is"))
            self.assertNotIn("foreign ::> two RELAY", chain.arrows(), code)

    def test_a_next_hop_that_says_nothing(self) -> None:
        chain = Chain().begin()
        chain.hop_faults.append(lambda parcel: None if parcel.sender == FIRST else parcel)
        chain.ask()
        self.assertIsInstance(chain.outcome(), Relayed)
        self.assertApproximates(chain.asking.got[-1][0], ATTEMPT_WITHIN, 0.3)
        self.assertEqual(chain.foreign.counters["aaa.failovers"], 1)

    def test_who_was_silent_may_still_answer_first(self) -> None:
        chain = Chain().begin()
        chain.settings["two"] = Aaa(routes=(route("no.example", FIRST),))
        chain.hop_faults.append(lambda parcel: parcel if parcel.receiver != HOME else slow(parcel))
        chain.silent.add(frozenset((FOREIGN, SECOND)))
        chain.ask()
        self.assertEqual(chain.outcome(), Relayed(1, b"reply to" + INSIDE[:8]))
        self.assertEqual(chain.answering.got[0].route.relayed, (AGENT, FOREIGN, FIRST))
        self.assertEqual(chain.foreign.counters["aaa.pending"], 0)
        chain.run(20)
        self.assertEqual(len(chain.asking.got), 1)

    def test_who_has_failed_is_asked_last_for_a_while(self) -> None:
        chain = Chain().begin()
        chain.hop_faults.append(lambda parcel: None if parcel.sender == FIRST else parcel)
        chain.ask(number=1)
        chain.outcome()
        before = chain.monotonic
        chain.ask(number=2)
        chain.outcome()
        self.assertLess(chain.monotonic - before, 0.5)
        chain.hop_faults.clear()
        chain.run(TROUBLED_FOR)
        chain.ask(number=3)
        chain.outcome()
        self.assertEqual([got.route.relayed[-1] for got in chain.answering.got[-2:]], [SECOND, FIRST])
        self.assertEqual(len(chain.foreign.reported(NextHopFailed)), 1)

    def test_nobody_answers_at_all(self) -> None:
        chain = Chain().begin()
        chain.answering.answer = lambda _: None
        chain.ask()
        refusal = chain.outcome()
        self.assertEqual(refusal.detail.code, Code.NEXT_HOP_UNREACHABLE)
        self.assertApproximates(chain.monotonic, KEPT_FOR, 0.3)
        chain.run(60)
        for host in (chain.foreign, chain.one, chain.two):
            self.assertEqual(host.counters["aaa.pending"], 0)
        self.assertEqual(len(chain.asking.got), 1)

    def test_a_relay_that_is_restarted_forgets_and_the_asker_asks_again(self) -> None:
        chain = Chain().begin()
        chain.ask(number=1)
        chain.run(0.03)
        chain.foreign.restart()
        chain.run(1)
        self.assertEqual(chain.asking.got, [])
        chain.ask(number=2)
        self.assertIsInstance(chain.outcome(), Relayed)


def slow(parcel: Parcel) -> Parcel:
    return evolve(parcel, delay=ATTEMPT_WITHIN + 1)


class LoopTests(SynchronousTestCase):
    def circle(self) -> Chain:
        """Two relays, each of which believes that the other knows the way."""
        chain = Chain()
        chain.settings["foreign"] = Aaa(routes=(route("home.example", FIRST),))
        chain.settings["one"] = Aaa(routes=(route("home.example", SECOND),))
        chain.settings["two"] = Aaa(routes=(route("home.example", FIRST),))
        return chain.begin()

    def test_a_circle_of_relays(self) -> None:
        chain = self.circle()
        chain.ask()
        refusal = chain.outcome()
        self.assertEqual(refusal.detail.code, Code.ROUTING_LOOP)
        self.assertLess(chain.monotonic, 1)
        self.assertEqual([line for line in chain.arrows() if "RELAY" in line.split()[-1:]][-1], "one ::> two RELAY")

    def test_our_own_name_in_the_route(self) -> None:
        chain = Chain().begin()
        chain.ask(relayed=(FOREIGN, AGENT))
        self.assertEqual(chain.outcome().detail.code, Code.ROUTING_LOOP)

    def test_no_hops_left(self) -> None:
        chain = Chain().begin()
        chain.ask(hops=0)
        self.assertEqual(chain.outcome().detail.code, Code.ROUTING_LOOP)
        chain.ask(hops=1, number=2)
        refusal = chain.outcome()
        self.assertEqual((refusal.detail.code, refusal.route.relayed[-1]), (Code.ROUTING_LOOP, FOREIGN))
        self.assertIn(FIRST, chain.foreign.reported(NextHopFailed)[0].neighbour)

    def test_a_line_as_long_as_it_may_be_and_one_longer(self) -> None:
        for length, ends in ((MOST_HOPS, Relayed), (MOST_HOPS + 1, NotRelayed)):
            names = [AGENT, *(f"r{number}@home.example" for number in range(length)), HOME]
            chain = Chain()
            chain.hosts.clear()
            chain.settings = {name: Aaa(routes=(route("*", after),)) for name, after in pairwise(names[1:])}
            chain.settings[names[-2]] = Aaa(home_agents=(HOME,))
            hosts = [chain.server(name, name, *names) for name in names[1:-1]]
            agent = chain.host("agent", chain.agent.build, nai=AGENT, neighbours=names)
            home = chain.host("home", chain.home.build, nai=HOME, neighbours=names)
            for host in (agent, *hosts, home):
                host.start()
            chain.agent, chain.home = agent, home
            asking = chain.asking.ask(names[1])
            agent.ask(chain.asking, partial(list, asking))
            self.assertIsInstance(chain.outcome(), ends)


class BoundTests(SynchronousTestCase):
    def test_more_than_may_be_pending(self) -> None:
        chain = Chain(most=3).begin()
        chain.answering.answer = lambda _: None
        for number in range(1, 6):
            chain.ask(number=number)
        chain.run(1)
        self.assertEqual(chain.foreign.counters["aaa.pending"], 3)
        codes = [message.detail.code for _, message in chain.asking.got]
        self.assertEqual(codes, [Code.INSUFFICIENT_RESOURCES] * 2)

    def test_an_agent_that_asks_too_much_takes_the_place_of_nobody_else(self) -> None:
        now = Now(100.0, 1_790_000_000.0)
        draw = random.Random(1).randbytes  # noqa: S311  # has to repeat itself
        relay = AaaRelay(FOREIGN, Ways(frozenset((HOME,)), {}), 4, draw)

        def ask(agent: str, number: int) -> list[tuple[str, hop.HopMessage]]:
            asked = hop.Relay(number, hop.Route(MOST_HOPS, HOME, (agent,)), INSIDE)
            actions = relay.heard(agent, hop.encode_hop(asked), now)
            return [(each.neighbour, hop.decode_hop(each.octets)) for each in actions if isinstance(each, Relay)]

        greedy, other = "greedy@visited.example", "other@visited.example"
        for number in range(4):
            ask(greedy, number)
        self.assertEqual([type(said) for _, said in ask(greedy, 4)], [hop.NotRelayed])
        # Another one's goes on, in place of the oldest of the one that has most.
        for number in range(2):
            (told, refused), (asked, relayed) = ask(other, number)
            self.assertEqual((told, asked), (greedy, HOME))
            self.assertEqual(
                (type(refused), refused.identification, type(relayed)), (hop.NotRelayed, number, hop.Relay)
            )
        self.assertEqual(relay.counters["pending"], 4)
        for agent in (greedy, other):
            self.assertEqual([type(said) for _, said in ask(agent, 9)], [hop.NotRelayed])

    def test_a_repetition_of_what_is_pending_is_dropped(self) -> None:
        chain = Chain().begin()
        chain.ask(number=1)
        chain.ask(number=1)
        chain.run(2)
        self.assertEqual(len(chain.answering.got), 1)
        self.assertEqual(chain.foreign.counters["aaa.repeated"], 1)
        self.assertEqual(len(chain.asking.got), 1)

    def test_routes_are_remembered_up_to_a_bound(self) -> None:
        self.patch(envelope, "MOST_REMEMBERED", 2)
        chain = Chain().begin()
        for number in range(1, 9):
            chain.ask(f"h{number % 4}@home.example", number=number)
            chain.outcome()
        remembered = chain.foreign.role(AaaRelay)._envelopes._remembered
        self.assertEqual(len(remembered), 2)


class LiarTests(SynchronousTestCase):
    """Neighbours have proved their names, and may lie about everything else."""

    def test_a_route_that_hides_who_said_it(self) -> None:
        chain = Chain().begin()
        chain.ask(relayed=("somebody@visited.example",))
        self.assertEqual(chain.outcome().detail.code, Code.POORLY_FORMED)
        chain.ask(relayed=(), number=2)
        self.assertEqual(chain.outcome().detail.code, Code.POORLY_FORMED)

    def test_an_answer_from_somebody_who_was_not_asked(self) -> None:
        chain = Chain().begin()
        chain.answering.answer = lambda _: None
        chain.ask()
        chain.run(1)
        number = hop.decode_hop(chain.told[1].octets).identification
        for liar in (SECOND, AGENT):
            chain.foreign.hear(liar, hop.encode_hop(Relayed(number, b"a lie")))
        chain.run(1)
        self.assertEqual(chain.asking.got, [])
        self.assertEqual(chain.foreign.counters["aaa.unexpected"], 2)

    def test_what_cannot_be_read(self) -> None:
        chain = Chain().begin()
        chain.ask()
        chain.outcome()
        right = chain.told[0].octets
        wrong = [right[:cut] for cut in range(16, len(right), 7)] + [
            right + b"\0",
            right[:12] + b"\1" + right[13:],
            right[:16] + b"\0" + right[17:],
        ]
        at = right.index(b"\x7f\x2a", 16)
        wrong += [right[:at] + b"\x7f\x2b" + right[at + 2 :], right[: at + 2] + b"\0\0" + right[at + 4 :]]
        for octets in wrong:
            chain.foreign.hear(AGENT, octets)
        chain.run(1)
        self.assertEqual(len(chain.answering.got), 1)
        self.assertEqual(chain.foreign.counters["aaa.malformed"], len(wrong))

    def test_an_answer_that_cannot_be_read(self) -> None:
        chain = Chain().begin()
        chain.answering.answer = lambda _: None
        chain.settings["foreign"] = Aaa(routes=(route("home.example", FIRST),))
        chain.ask()
        chain.run(1)
        octets = hop.encode_hop(refusing(Code.REPLAYED)(hop.decode_hop(chain.told[1].octets)))  # type: ignore[arg-type]  # it is a RELAY
        chain.foreign.hear(FIRST, octets[:-1])
        self.assertIsInstance(chain.outcome(), NotRelayed)


class KnowledgeTests(SynchronousTestCase):
    def test_it_shows_and_logs_names_of_relays_and_home_agents_only(self) -> None:
        chain = Chain().begin()
        chain.refused.add(frozenset((FOREIGN, FIRST)))
        secret = b"node@home.example"
        chain.ask(inside=secret + INSIDE)
        chain.outcome()
        chain.ask("home@elsewhere.example", number=2, inside=secret + INSIDE)
        chain.outcome()
        told = repr([str(event) for event in chain.foreign.reports] + [chain.foreign.reports])
        told += repr(chain.foreign.role(AaaRelay).status(chain.foreign.now()))
        self.assertIn(HOME, told)
        self.assertNotIn(secret.decode(), told)

    def test_what_an_operator_is_shown(self) -> None:
        chain = Chain().begin()
        chain.refused.add(frozenset((FOREIGN, FIRST)))
        chain.ask()
        chain.outcome()
        self.assertEqual(
            chain.foreign.role(AaaRelay).status(chain.foreign.now()),
            {
                "pending": 0,
                "home_agents": [],
                "routes": [
                    {
                        "realm": "home.example",
                        "next": [{"nai": FIRST, "trouble": "it does not answer"}, {"nai": SECOND, "trouble": ""}],
                    }
                ],
            },
        )
