"""A line of a key log holds what opens the records of its link, and nothing that other keys come from."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from seckex.crypto.keylog import link_line
from seckex.crypto.suites import KEY_SIZES, new_aead
from seckex.wire.dialog import associated_data, decode_record
from seckex.wire.numbers import RecordType, Suite
from tests.dialog.parts import SALT_I, SALT_R, Pair, association, schedule


class KeyLogTests(SynchronousTestCase):
    def test_each_key_opens_its_records(self) -> None:
        for suite in Suite:
            told: list[str] = []
            pair = Pair(ours=association(suite), key_log=told.append)
            said: list[bytes] = []
            while pair.i.sent or pair.r.sent:
                for side in (pair.i, pair.r):
                    if side.sent:
                        said.append(bytes(side.sent))
                        pair.move(side)
            self.assertEqual(len(told), 1)
            label, number, context, salt_i, salt_r, *keys = told[0].split()
            self.assertEqual((label, number), ("SECKEX_LINK", str(int(suite))))
            self.assertEqual((salt_i, salt_r), (SALT_I.hex(), SALT_R.hex()))
            records = [decode_record(octets) for octets in said]
            kinds = [RecordType.HELLO, RecordType.HELLO, RecordType.PING, RecordType.PONG]
            self.assertEqual([record.kind for record in records], kinds)
            self.assertEqual([record.context for record in records[2:]], [int(context, 16)] * 2)
            for record, hexadecimal in zip(records, keys, strict=True):
                key = bytes.fromhex(hexadecimal)
                aead = new_aead(suite, key[: KEY_SIZES[suite]])
                nonce = key[KEY_SIZES[suite] :] + record.counter.to_bytes(8, "big")
                aead.decrypt(nonce, record.body + record.mic, associated_data(record))

    def test_what_other_keys_come_from_is_not_in_it(self) -> None:
        line = link_line(schedule(), SALT_I, SALT_R)
        self.assertNotIn(b"dialog".ljust(32).hex(), line)
        self.assertEqual(len(line.split()), 9)

    def test_nobody_who_does_not_ask_is_told(self) -> None:
        pair = Pair()
        pair.settle()
        self.assertTrue(pair.i.link.is_open)
