"""What two daemons say to each other on a network interface, captured there, and read with the key log of one."""

from __future__ import annotations

import shutil
import signal
import stat
import subprocess
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

from twisted.trial.unittest import SkipTest

from tests.contrib.capture import TSHARK, dissected
from tests.daemons.stage import StageTestCase

DUMPCAP: Final = shutil.which("dumpcap")
KEY_LOG: Final = '\n[debug]\nkey-log = "keys.log"\n'
SECRET: Final = "what nobody else is to read\n"


class CaptureTests(StageTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.write_responder(more=KEY_LOG)

    def capture(self, file: Path) -> subprocess.Popen[str]:
        """Capture what is said to the responder and by it."""
        if DUMPCAP is None or TSHARK is None:
            raise SkipTest("tshark is not installed")
        command = [DUMPCAP, "-q", "-i", "lo", "-f", f"port {self.port}", "-w", str(file)]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        assert process.stderr is not None
        self.addCleanup(process.stderr.close)
        said = ""
        for line in process.stderr:
            said += line
            if line.startswith("File:"):
                return process
        raise SkipTest(f"capturing is not permitted here: {said}")

    def found(self, packets: list[ElementTree.Element], name: str) -> list[ElementTree.Element]:
        return [each for packet in packets for each in packet.iter("field") if each.get("name") == f"seckex.{name}"]

    def test_a_download(self) -> None:
        (self.www / "file.bin").write_text(SECRET * 400)
        file = self.folder / "said.pcapng"
        capturing = self.capture(file)
        self.web()
        self.both()
        self.fetch(self.forward_port)
        self.until("the dialog's end", lambda: self.logged("initiator", "DialogClosed"))
        self.until("the octets", lambda: file.stat().st_size > len(SECRET) * 400)
        capturing.send_signal(signal.SIGINT)
        capturing.wait()
        sealed = dissected(file, preferences={"seckex.ports": str(self.port)})
        keys = {"seckex.ports": str(self.port), "seckex.keylog": str(self.folder / "keys.log")}
        opened = dissected(file, preferences=keys)
        self.assertEqual(self.found(sealed, "dialog.data"), [])
        kinds = {field.get("showname", "").split()[1] for field in self.found(opened, "kind")}
        self.assertEqual(kinds, {"OFFER", "CHOICE", "CONFIRM", "CONFIRMED"})
        if any("no ciphers for Lua" in each.get("showname", "") for packet in opened for each in packet.iter()):
            raise SkipTest("this tshark has no ciphers for Lua")
        self.assertEqual({field.get("show") for field in self.found(opened, "dialog.service")}, {"web"})
        said = "".join(bytes.fromhex(field.get("value", "")).decode() for field in self.found(opened, "dialog.data"))
        self.assertIn("GET /file.bin HTTP/1.1", said)
        self.assertEqual(said.count(SECRET), 400)
        shown = [each.get("showname", "") for packet in opened for each in packet.iter()]
        self.assertEqual([text for text in shown if "Malformed" in text or "Lua Error" in text], [])

    def test_it_is_told_of_loudly_and_closed_to_others(self) -> None:
        self.both()
        self.until("a line", lambda: (self.folder / "keys.log").stat().st_size > 0)
        self.assertEqual(stat.S_IMODE((self.folder / "keys.log").stat().st_mode), 0o600)
        self.assertEqual(self.status("responder")["daemon"]["key_log"], str(self.folder / "keys.log"))
        self.assertIsNone(self.status("initiator")["daemon"]["key_log"])
        log = (self.folder / "responder.log").read_text()
        self.assertIn("the keys of all links are written to", log)

    def test_one_that_others_can_read_is_refused(self) -> None:
        path = self.folder / "keys.log"
        path.touch()
        path.chmod(0o644)
        said = self.refused_start("responder")
        self.assertIn(f"{path} is open to other users (mode 0644); run: chmod 600 {path}", said)
