"""Programs of other processes send."""

from __future__ import annotations

from seckex.delivery.faces import LARGEST_MESSAGE, SPOOLED_ABOVE, Spooled, Stage
from seckex.errors import StoreFailed
from tests.net.delivery.http.scene import PEER, TO, HttpCase


class SendingTests(HttpCase):
    def test_a_message_is_accepted(self) -> None:
        wire = self.wire()
        wire.begin("POST", f"/v1/messages?{TO}&type=bill&ttl=60&own=orders&priority=2&label=a", b"42 pounds")
        self.assertEqual(wire.transport.value(), b"")
        self.messages.advance()
        heard = wire.heard()
        [posted] = self.messages.posted
        self.assertEqual(heard.status, 201)
        self.assertEqual(
            heard.told,
            {
                "schema": "seckex.sent/1",
                "name": posted.name,
                "dialog": posted.dialog.id.hex(),
                "number": 1,
                "stage": "accepted",
            },
        )
        self.assertEqual((posted.payload, posted.type), (b"42 pounds", "bill"))
        self.assertEqual(posted.expires, self.messages.clock.seconds() + 60)
        [dialog] = self.messages.shown_dialogs()
        self.assertEqual(
            {name: dialog[name] for name in ("peer", "service", "own", "priority", "label")},
            {"peer": PEER, "service": "bills", "own": "orders", "priority": 2, "label": "a"},
        )

    def test_headers_do_as_well(self) -> None:
        heard = self.ask("POST", "/v1/messages", b"", Seckex_To=PEER, Seckex_Service="bills", Seckex_Type="bill")
        self.assertEqual((heard.status, self.messages.posted[0].type), (201, "bill"))
        self.assertEqual(self.messages.posted[0].payload, b"")

    def test_it_may_be_waited_for(self) -> None:
        wire = self.wire()
        wire.begin("POST", f"/v1/messages?{TO}&wait=processed", b"1")
        self.messages.advance()
        self.messages.posted[0].reach(Stage.DELIVERED)
        self.assertEqual(wire.transport.value(), b"")
        self.messages.posted[0].reach(Stage.PROCESSED)
        heard = wire.heard()
        self.assertEqual((heard.status, heard.told["stage"]), (201, "processed"))

    def test_when_time_is_up_it_is_told_how_far_it_is(self) -> None:
        wire = self.wire()
        wire.begin("POST", f"/v1/messages?{TO}&wait=processed&timeout=5", b"1")
        self.messages.advance()
        self.messages.posted[0].reach(Stage.DELIVERED)
        self.messages.advance(5)
        heard = wire.heard()
        self.assertEqual((heard.status, heard.told["stage"]), (202, "delivered"))
        self.messages.posted[0].refuse(129, "nobody hears it any more")

    def test_what_fails_while_it_is_waited_for(self) -> None:
        wire = self.wire()
        wire.begin("POST", f"/v1/messages?{TO}&wait=processed", b"1")
        self.messages.advance()
        self.messages.posted[0].refuse(129, "no bills, please")
        heard = wire.heard()
        told = heard.told
        self.assertEqual((heard.status, told["code"], told["number"]), (403, "prohibited", 129))
        self.assertEqual((told["reason"], told["name"]), ("no bills, please", self.messages.posted[0].name))

    def test_who_goes_away_has_sent_all_the_same(self) -> None:
        wire = self.wire()
        wire.begin("POST", f"/v1/messages?{TO}&wait=delivered", b"1")
        wire.close()
        self.messages.advance()
        self.messages.posted[0].reach(Stage.DELIVERED)
        self.assertEqual(wire.transport.value(), b"")

    def test_an_outbox_that_is_full(self) -> None:
        self.messages.room = 0
        told = self.problem(503, "insufficient-resources", "", "POST", f"/v1/messages?{TO}", b"1")
        self.assertEqual((told["number"], told["title"]), (130, "Service Unavailable"))

    def test_an_answer_goes_by_the_dialog_of_its_message(self) -> None:
        stream = self.wire()
        stream.begin("GET", "/v1/services/orders/messages")
        order = self.messages.deliver("orders", b"1 pump")
        [line] = stream.heard().lines
        heard = self.ask("POST", f"/v1/messages?answers={line['id']}", b"thank you")
        self.assertEqual((heard.status, heard.told["name"]), (201, f"{order.name[:12]}.b1"))
        self.problem(400, "unfit", "answers", "POST", f"/v1/messages?answers={line['id']}&{TO}", b"")
        self.problem(404, "unknown-message", "message", "POST", "/v1/messages?answers=0123456789ab.o1", b"")

    def test_a_key_is_one_message(self) -> None:
        first = self.ask("POST", f"/v1/messages?{TO}&key=a", b"1").told
        self.assertEqual(self.ask("POST", f"/v1/messages?{TO}&key=a", b"1").told, first)
        self.assertEqual(len(self.messages.posted), 1)


class LongTests(HttpCase):
    def test_what_is_long_goes_to_the_spool_as_it_comes(self) -> None:
        size = SPOOLED_ABOVE + 3 * 65536
        wire = self.wire()
        wire.begin("POST", f"/v1/messages?{TO}", Content_Length=str(size))
        for _ in range(size // 65536):
            wire.say(bytes(65536))
        self.messages.advance()
        self.assertEqual(wire.heard().status, 201)
        payload = self.messages.posted[0].payload
        self.assertIsInstance(payload, Spooled)
        self.assertEqual(self.messages.spool.octets(payload), bytes(size))

    def test_no_more_is_in_memory_than_comes_while_the_disk_is_slow(self) -> None:
        wire = self.wire()
        wire.begin("POST", f"/v1/messages?{TO}", Content_Length=str(2 * SPOOLED_ABOVE))
        self.messages.spool.hold()
        wire.say(bytes(SPOOLED_ABOVE))
        self.assertEqual(wire.transport.producerState, "producing")
        wire.say(b"1")
        self.assertEqual(wire.transport.producerState, "paused")
        self.messages.spool.release()
        self.assertEqual(wire.transport.producerState, "producing")
        self.messages.spool.hold()
        wire.say(bytes(SPOOLED_ABOVE - 1))
        self.messages.advance()
        self.assertEqual(wire.transport.value(), b"")
        self.messages.spool.release()
        self.messages.advance()
        self.assertEqual(wire.heard().status, 201)
        self.assertEqual(len(self.messages.spool.octets(self.messages.posted[0].payload)), 2 * SPOOLED_ABOVE)

    def test_chunks_do_as_well(self) -> None:
        wire = self.wire()
        wire.begin("POST", f"/v1/messages?{TO}", Transfer_Encoding="chunked")
        for _ in range(20):
            wire.say(b"10000\r\n" + bytes(65536) + b"\r\n")
        wire.say(b"0\r\n\r\n")
        self.messages.advance()
        self.assertEqual(wire.heard().status, 201)
        self.assertEqual(len(self.messages.spool.octets(self.messages.posted[0].payload)), 20 * 65536)

    def test_who_goes_away_before_the_end_has_sent_nothing(self) -> None:
        wire = self.wire()
        wire.begin("POST", f"/v1/messages?{TO}", Content_Length=str(2 * SPOOLED_ABOVE))
        wire.say(bytes(SPOOLED_ABOVE + 1))
        self.assertEqual(self.messages.spool.open, 1)
        wire.close()
        self.assertEqual((self.messages.spool.open, self.messages.posted), (0, []))

    def test_a_full_disk_is_told_before_the_rest_has_come(self) -> None:
        self.messages.spool.trouble = StoreFailed("no space left on device")
        wire = self.wire()
        wire.begin("POST", f"/v1/messages?{TO}", Content_Length=str(8 * SPOOLED_ABOVE))
        wire.say(bytes(SPOOLED_ABOVE + 1))
        heard = wire.heard()
        self.assertEqual((heard.status, heard.told["code"]), (503, "store-failed"))
        self.assertTrue(wire.transport.disconnecting)
        wire.say(bytes(SPOOLED_ABOVE))
        self.assertEqual((wire.transport.value(), self.messages.spool.open), (b"", 0))

    def test_what_is_too_long_is_told_at_once(self) -> None:
        wire = self.wire()
        wire.begin("POST", f"/v1/messages?{TO}", Content_Length=str(LARGEST_MESSAGE + 1))
        heard = wire.heard()
        self.assertEqual((heard.status, heard.told["code"]), (413, "too-long"))
        self.assertTrue(wire.transport.disconnecting)

    def test_a_long_body_of_a_refused_request_is_forgotten(self) -> None:
        self.problem(400, "unfit", "to", "POST", "/v1/messages?service=bills", bytes(SPOOLED_ABOVE + 1))
        self.assertEqual(self.messages.spool.open, 0)


class UploadTests(HttpCase):
    def put(self, first: int, octets: bytes, length: int, name: str = "u1") -> tuple[int, int]:
        heard = self.ask(
            "PUT", f"/v1/uploads/{name}", octets, Content_Range=f"bytes {first}-{first + len(octets) - 1}/{length}"
        )
        self.assertLess(heard.status, 300, heard.body)
        self.assertEqual(heard.told["offset"], int(heard.headers["upload-offset"]))
        return heard.status, heard.told["offset"]

    def test_pieces_become_a_message(self) -> None:
        self.assertEqual(self.put(0, b"1234", 10), (200, 4))
        heard = self.ask("HEAD", "/v1/uploads/u1")
        self.assertEqual(
            (heard.status, heard.headers["upload-offset"], heard.headers["upload-length"]), (204, "4", "10")
        )
        self.problem(409, "incomplete", "upload", "POST", f"/v1/messages?{TO}&upload=u1", b"")
        self.assertEqual(self.put(4, b"567890", 10), (200, 10))
        heard = self.ask("POST", f"/v1/messages?{TO}&upload=u1", b"")
        self.assertEqual((heard.status, self.messages.posted[0].payload), (201, b"1234567890"))
        self.assertEqual(self.ask("HEAD", "/v1/uploads/u1").status, 404)

    def test_an_upload_stays_until_its_message_is_accepted(self) -> None:
        self.put(0, b"1", 1)
        self.messages.room = 0
        self.problem(503, "insufficient-resources", "", "POST", f"/v1/messages?{TO}&upload=u1", b"")
        self.messages.room = 1
        self.assertEqual(self.ask("POST", f"/v1/messages?{TO}&upload=u1", b"").status, 201)

    def test_pieces_that_do_not_fit(self) -> None:
        self.put(0, b"1234", 10)
        for headers, code, status in (
            ({"Content_Range": "bytes 0-3/10"}, "other-offset", 409),
            ({"Content_Range": "bytes 5-8/10"}, "other-offset", 409),
            ({"Content_Range": "bytes 4-7/11"}, "other-length", 409),
            ({"Content_Range": "bytes 4-8/10"}, "unfit", 400),
            ({"Content_Range": "bytes 4-7/7"}, "unfit", 400),
            ({"Content_Range": "octets 4-7/10"}, "unfit", 400),
            ({}, "unfit", 400),
            ({"Content_Range": f"bytes 4-7/{LARGEST_MESSAGE + 1}"}, "too-long", 413),
        ):
            self.problem(status, code, "Content-Range", "PUT", "/v1/uploads/u1", b"abcd", **headers)
        self.problem(404, "unknown-upload", "upload", "PUT", "/v1/uploads/u2", b"abcd", Content_Range="bytes 4-7/10")
        self.assertEqual(self.put(4, b"567890", 10), (200, 10))

    def test_a_piece_that_is_too_long(self) -> None:
        octets = bytes(SPOOLED_ABOVE + 1)
        size = f"bytes 0-{SPOOLED_ABOVE}/{2 * SPOOLED_ABOVE}"
        self.problem(413, "too-long", "", "PUT", "/v1/uploads/u1", octets, Content_Range=size)
        self.assertEqual(self.messages.spool.open, 0)

    def test_one_piece_at_a_time(self) -> None:
        self.put(0, b"1", 10)
        self.messages.spool.hold()
        self.wire().begin("PUT", "/v1/uploads/u1", b"2", Content_Range="bytes 1-1/10")
        self.problem(409, "busy", "upload", "PUT", "/v1/uploads/u1", b"2", Content_Range="bytes 1-1/10")
        self.problem(409, "busy", "upload", "DELETE", "/v1/uploads/u1")
        self.messages.spool.release()
        self.assertEqual(self.ask("HEAD", "/v1/uploads/u1").headers["upload-offset"], "2")

    def test_a_full_disk_ends_an_upload(self) -> None:
        self.messages.spool.trouble = StoreFailed("no space left on device")
        self.problem(503, "store-failed", "", "PUT", "/v1/uploads/u1", b"2", Content_Range="bytes 0-0/10")
        self.assertEqual((self.ask("HEAD", "/v1/uploads/u1").status, self.messages.spool.open), (404, 0))

    def test_uploads_are_forgotten(self) -> None:
        self.put(0, b"1", 10)
        self.assertEqual(self.ask("DELETE", "/v1/uploads/u1").status, 204)
        self.problem(404, "unknown-upload", "upload", "DELETE", "/v1/uploads/u1")
        self.put(0, b"1", 10)
        self.messages.advance(3599)
        self.put(1, b"2", 10)
        self.messages.advance(3599)
        self.assertEqual(self.messages.spool.open, 1)
        self.messages.advance(1)
        self.assertEqual((self.messages.spool.open, self.ask("HEAD", "/v1/uploads/u1").status), (0, 404))

    def test_there_are_so_many_and_no_more(self) -> None:
        for number in range(64):
            self.put(0, b"1", 10, f"u{number}")
        self.problem(503, "too-many-uploads", "", "PUT", "/v1/uploads/more", b"2", Content_Range="bytes 0-0/10")
        self.served.close()
        self.assertEqual(self.messages.spool.open, 0)
