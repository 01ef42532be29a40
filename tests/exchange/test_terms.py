"""What an exchange is between, and the SPIs that it draws."""

from __future__ import annotations

from seckex.crypto.authority import Key0
from seckex.crypto.secrets import Secret
from seckex.exchange.terms import Terms
from seckex.sa.association import WORKER_BITS
from tests.conversation import AES, HOME, NODE, ConversationCase
from tests.pump import KEY


class TermsTests(ConversationCase):
    def drawing(self, *drawn: int, worker: int = 0) -> int:
        """Return the SPI that comes of what is drawn."""
        octets = iter([number.to_bytes(4, "big") for number in drawn])
        key0 = Key0(Secret(KEY), 0x1234, 1, (NODE, HOME))
        return Terms(NODE, HOME, key0, AES, lambda _size: next(octets), worker).new_spi()

    def test_SPIs_of_bundles_are_never_drawn(self) -> None:
        for low in (0, 63, 64, 255):
            self.assertEqual(self.drawing(low, 256), 256)
        self.assertEqual(self.drawing(0xFFFFFFFF), 0xFFFFFFC0)

    def test_neither_what_is_taken_nor_what_the_other_end_has_is_drawn(self) -> None:
        octets = iter([number.to_bytes(4, "big") for number in (0x1000, 0x2000, 0x3000)])
        key0 = Key0(Secret(KEY), 0x1234, 1, (NODE, HOME))
        terms = Terms(NODE, HOME, key0, AES, lambda _size: next(octets), taken=lambda spi: spi == 0x1000)
        self.assertEqual(terms.new_spi(0x2000), 0x3000)

    def test_the_lowest_bits_are_the_workers(self) -> None:
        for worker in (0, 1, 63):
            self.assertEqual(self.drawing(0x12345678, worker=worker), 0x12345640 | worker)
        self.assertEqual(WORKER_BITS, 6)

    def test_each_worker_takes_up_its_own_associations(self) -> None:
        node, home = self.network.host(NODE), self.network.host(HOME)
        node.knows(home, AES)
        home.knows(node, AES, worker=5)
        node.start()
        home.start()
        ours = self.established(node, home)
        self.assertEqual(ours.spi_out & 63, 5)
        now = home.now().wall
        self.assertEqual([a.spi_in for a in home.store.load(5, now).associations], [ours.spi_out])
        self.assertEqual(home.store.load(0, now).associations, ())
