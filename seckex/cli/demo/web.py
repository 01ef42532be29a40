"""The demo's web server: files of a folder, and where a request says so (``?pace=OCTETS``) no more a second than that.

What comes slowly from where it is comes without pauses of its own, so that those of the way can be seen. Who asks
for ``/hurry`` has the rest of everything come as fast as it can.

It is run as a file and imports nothing of ours.
"""

from __future__ import annotations

import sys
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Event
from typing import Any, ClassVar, Final
from urllib.parse import parse_qs, urlsplit

HURRY: Final = "/hurry"
_PIECE: Final = 65536
_EVERY: Final = 0.005


class Files(SimpleHTTPRequestHandler):
    """See the module."""

    hurry: ClassVar[Event] = Event()

    def do_GET(self) -> None:
        """Serve a file, or take the word to hurry."""
        if self.path == HURRY:
            self.hurry.set()
            self.send_response(HTTPStatus.NO_CONTENT)
            self.end_headers()
        else:
            super().do_GET()

    def copyfile(self, source: Any, outputfile: Any) -> None:
        """Send a file, slowly where that is asked for."""
        pace = parse_qs(urlsplit(self.path).query).get("pace", ["0"])[0]
        wanted = int(pace) if pace.isdecimal() else 0
        piece = max(int(wanted * _EVERY), 1) if wanted else _PIECE
        seconds = piece / wanted if wanted else 0.0
        if wanted:
            self.hurry.clear()
        while octets := source.read(_PIECE if self.hurry.is_set() else piece):
            outputfile.write(octets)
            if seconds:
                self.hurry.wait(seconds)


def main() -> None:
    """Serve ``FOLDER`` at 127.0.0.1, ``PORT``: the arguments."""
    port, folder = sys.argv[1:]
    ThreadingHTTPServer(("127.0.0.1", int(port)), partial(Files, directory=folder)).serve_forever()


if __name__ == "__main__":
    main()
