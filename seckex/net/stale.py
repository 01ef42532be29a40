"""Unix sockets that a process left behind when it was killed: told from those that somebody listens on, and removed."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

from seckex.errors import SeckexError


class SocketTaken(SeckexError):
    """The path of a socket cannot be had; ``live`` if it is because somebody listens there."""

    def __init__(self, why: str, *, live: bool = False) -> None:
        super().__init__(why)
        self.live = live


def remove_stale(path: Path) -> None:
    """Remove the socket ``path`` if nobody listens on it; raises `SocketTaken` if somebody does, or it is no socket."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise SocketTaken(f"{path} is there already and is no socket")
    except FileNotFoundError:
        return
    except OSError as error:
        raise SocketTaken(f"{path} cannot be looked at: {error.strerror}") from error
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(os.fspath(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
        except OSError as error:
            raise SocketTaken(f"cannot tell who is on {path}: {error.strerror}") from error
    raise SocketTaken(f"another process listens on {path}", live=True)
