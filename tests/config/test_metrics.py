"""Where metrics are served."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from seckex.config.metrics import Metrics, place_of


class PlaceTests(SynchronousTestCase):
    def test_an_address_and_a_port(self) -> None:
        self.assertEqual(place_of("127.0.0.1:9464"), ("127.0.0.1", 9464))
        self.assertEqual(place_of("[::1]:1"), ("::1", 1))

    def test_what_is_none(self) -> None:
        for text in (
            "", "9464", ":9464", "127.0.0.1", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:9464 ",
            "localhost:9464", "::1:9464", "[127.0.0.1]:9464", "[::1]", "[::1:9464", "127.0.0.1:+1", "127.0.0.1:\uff11",
            "unix:/run/seckex.sock",
        ):  # fmt: skip
            self.assertIsNone(place_of(text), text)

    def test_others_may_reach_what_is_not_loopback(self) -> None:
        listen = ("127.0.0.1:1", "[::1]:2", "0.0.0.0:3", "192.0.2.1:4", "[::]:5")
        self.assertEqual(Metrics(listen=listen).open_to_others, listen[2:])
        self.assertEqual(Metrics().places, ())

    def test_twice_the_same(self) -> None:
        [problem] = Metrics(listen=("127.0.0.1:1", "127.0.0.1:1")).contradictions()
        self.assertEqual(problem.path, "metrics.listen[1]")
