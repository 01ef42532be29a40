"""An ordinary HTTP client that fetches the demo's file and checks what arrives."""

from __future__ import annotations

import hashlib
import http.client
import socket
from collections.abc import Callable
from typing import Final

from seckex.cli.demo.processes import PATIENCE, DemoFailed
from seckex.cli.demo.story import Story
from seckex.cli.demo.web import HURRY

_READ: Final = 1 << 18


def download(
    story: Story,
    port: int,
    size: int,
    digest: str,
    halfway: Callable[[], object] | None = None,
    pace: int = 0,
    begun: Callable[[], object] | None = None,
) -> None:
    """Fetch ``size`` octets from 127.0.0.1, no more than ``pace`` a second.

    ``begun`` is called when the first have come, ``halfway`` in the middle.

    Raises `DemoFailed` unless all arrives that has this SHA-256.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    hashed = hashlib.sha256()
    done = 0
    try:
        connection.request("GET", f"/file.bin?pace={pace}" if pace else "/file.bin")
        response = connection.getresponse()
        if response.status != http.client.OK:
            raise DemoFailed(f"the web server answers {response.status} {response.reason}")
        with story.progress(size) as progress:
            while octets := response.read1(_READ):
                hashed.update(octets)
                if not done and begun is not None:
                    begun()
                done += len(octets)
                progress(done)
                if halfway is not None and 2 * done >= size:
                    halfway()
                    halfway = None
    except (OSError, http.client.HTTPException) as error:
        raise DemoFailed(f"the download broke off after {done} octets: {error}") from error
    finally:
        connection.close()
    if hashed.hexdigest() != digest:
        raise DemoFailed(f"what arrived ({done} octets) is not what was sent")


def hurry(port: int) -> None:
    """Have the web server at a port of 127.0.0.1 send what it sends slowly as fast as it can."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request("GET", HURRY)
        connection.getresponse().read()
    except (OSError, http.client.HTTPException) as error:
        raise DemoFailed(f"the web server does not hurry: {error}") from error
    finally:
        connection.close()


def answers(port: int) -> bool:
    """Tell whether somebody listens on a port of 127.0.0.1."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False
