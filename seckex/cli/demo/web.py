"""The demo's web server: files of a folder, and where a request says so (``?pace=OCTETS``) no more a second than that.

What comes slowly from where it is comes without pauses of its own, so that those of the way can be seen.
"""

from __future__ import annotations

import sys
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

_PIECE: Final = 16384


class Files(SimpleHTTPRequestHandler):
    """See the module."""

    def copyfile(self, source: Any, outputfile: Any) -> None:
        """Send a file, slowly where that is asked for."""
        pace = parse_qs(urlsplit(self.path).query).get("pace", ["0"])[0]
        seconds = _PIECE / int(pace) if pace.isdecimal() and int(pace) else 0.0
        while octets := source.read(_PIECE):
            outputfile.write(octets)
            time.sleep(seconds)


def main() -> None:
    """Serve ``FOLDER`` at 127.0.0.1, ``PORT``: the arguments."""
    port, folder = sys.argv[1:]
    ThreadingHTTPServer(("127.0.0.1", int(port)), partial(Files, directory=folder)).serve_forever()


if __name__ == "__main__":
    main()
