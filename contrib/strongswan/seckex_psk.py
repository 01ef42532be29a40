"""Keeps strongSwan's pre-shared key for one peer that of the seckex association with it.

Runs beside a seckex daemon and a strongSwan daemon, at both ends alike. It
exports 32 octets from the newest confirmed association with a peer and loads
them over vici, as a key of IKEv2 or IKEv1, and again whenever the association
has been replaced. The material goes from one unix socket to another: it is in
no file, no argument and no log.

Both ends derive the same from the same association: the label is `LABEL`, the
context holds both names, the initiator's of the association first. The keys
of IKE are derived from what is loaded when IKE begins or authenticates again;
what stands by then is not touched. If both have another association, but one
end has not loaded its key yet, IKE fails once and is tried again by strongSwan.

A seckex daemon that cannot be reached changes nothing. One that says that
there is no association any more has the key removed, so that who has been shut
out is shut out of IKE, too.
"""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import click
import vici
import vici.exception
from attrs import define, field, frozen

from seckex.cli.control_client import Refused, Unreachable, ask, follow
from seckex.crypto.schedule import lp

LABEL: Final = "seckex1 ike-psk"
LENGTH: Final = 32
LOOK_AGAIN: Final = 10.0
_VICI_FAULTS: Final = (
    vici.exception.CommandException,
    vici.exception.SessionException,
    vici.exception.DeserializationException,
)
_CHANGES: Final = ("AssociationEstablished", "AssociationConfirmed", "AssociationEnded")


@frozen
class Newest:
    """The association that a key is of, and the names of its two ends by their roles."""

    spi_in: int
    spi_out: int
    initiator: str
    responder: str

    @property
    def context(self) -> bytes:
        """What the exported key is bound to."""
        return lp(self.initiator.encode()) + lp(self.responder.encode())

    def __str__(self) -> str:
        return f"association {self.spi_in:#010x} between {self.initiator} and {self.responder}"


@frozen
class Daemon:
    """A seckex daemon, by its control socket."""

    control: Path

    def newest(self, peer: str) -> Newest | None:
        """Return the newest confirmed association with ``peer``, None if there is none."""
        status = ask(self.control, {"command": "status"}, "seckex.status/1")
        held = [one for one in status["associations"] if one["peer"] == peer and one["confirmed"]]
        if not held:
            return None
        found, ours = max(held, key=lambda one: one["created"]), status["daemon"]["nai"]
        names = (ours, peer) if found["role"] == "initiator" else (peer, ours)
        return Newest(found["spi_in"], found["spi_out"], *names)

    def export(self, peer: str, newest: Newest) -> bytes | None:
        """Return the key, None if the association has been replaced in this moment."""
        request = {"command": "export", "peer": peer, "label": LABEL, "length": LENGTH}
        answer = ask(self.control, request | {"context": newest.context.hex()}, "seckex.export/1")
        same = (answer["spi_in"], answer["spi_out"]) == (newest.spi_in, newest.spi_out)
        return bytes.fromhex(answer["key"]) if same else None

    def watch(self, peer: str, changed: threading.Event) -> None:
        """Set ``changed`` whenever associations with ``peer`` come and go, as long as the process lives."""
        while True:
            with suppress(Unreachable, Refused):
                for line in follow(self.control, {"command": "monitor"}, "seckex.monitor/1"):
                    if line.get("event") in _CHANGES and line.get("peer") == peer:
                        changed.set()
            time.sleep(1)


@frozen
class Charon:
    """A strongSwan daemon, by its vici socket; ``owners`` are the identities of both ends that the key is for."""

    socket: Path
    name: str
    owners: tuple[str, ...]

    def holds(self) -> bool:
        """Tell whether it has the key, or one before it."""
        with self._talking() as charon:
            return self.name.encode() in charon.get_shared().get("keys", ())

    def load(self, key: bytes) -> None:
        """Put ``key`` in the place of the one that it has."""
        with self._talking() as charon:
            charon.load_shared({"id": self.name, "type": "IKE", "data": key, "owners": list(self.owners)})

    def unload(self) -> None:
        """Take the key away."""
        with self._talking() as charon:
            charon.unload_shared({"id": self.name})

    @contextmanager
    def _talking(self) -> Iterator[Any]:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(10)
            connection.connect(str(self.socket))
            yield vici.Session(connection)


@define
class Upkeep:
    """What is loaded, and what should be."""

    daemon: Daemon
    charon: Charon
    peer: str
    loaded: Newest | None = field(default=None, init=False)

    def look(self) -> str:
        """Do what is to be done, and return what that was, nothing if it was nothing.

        Raises `Unreachable`, `Refused`, OSError or what vici raises.
        """
        newest = self.daemon.newest(self.peer)
        holds = self.charon.holds()
        if newest is None:
            self.loaded = None
            if not holds:
                return ""
            self.charon.unload()
            return f"key unloaded: there is no association with {self.peer}"
        if holds and newest == self.loaded:
            return ""
        key = self.daemon.export(self.peer, newest)
        if key is None:
            self.loaded = None
            return ""
        self.charon.load(key)
        self.loaded = newest
        return f"key loaded: {newest}"


def _say(text: str) -> None:
    click.echo("".join(each if each.isprintable() else "?" for each in text))
    sys.stdout.flush()


@click.command()
@click.argument("peer", metavar="PEER")
@click.option("--control", type=click.Path(path_type=Path), required=True, help="The seckex daemon's control socket.")
@click.option(
    "--vici", "vici_socket", type=click.Path(path_type=Path), default=Path("/var/run/charon.vici"), show_default=True
)
@click.option("--local-id", required=True, help="Our identity in IKE, as in swanctl.conf.")
@click.option("--remote-id", required=True, help="The peer's identity in IKE.")
@click.option("--once", is_flag=True, help="Load the key that there is, or fail, and end.")
def main(peer: str, control: Path, vici_socket: Path, local_id: str, remote_id: str, once: bool) -> None:
    """Keep strongSwan's pre-shared key for PEER, a network access identifier, that of the seckex association."""
    upkeep = Upkeep(Daemon(control), Charon(vici_socket, f"seckex {peer}", (local_id, remote_id)), peer)
    changed = threading.Event()
    if not once:
        threading.Thread(target=upkeep.daemon.watch, args=(peer, changed), daemon=True).start()
    while True:
        try:
            said = upkeep.look()
        except (Unreachable, Refused, OSError, *_VICI_FAULTS) as error:
            said = f"nothing changed: {error}"
            upkeep.loaded = None
        if said:
            _say(said)
        if once:
            sys.exit(0 if upkeep.loaded else 1)
        changed.wait(LOOK_AGAIN if upkeep.loaded else 1)
        changed.clear()


if __name__ == "__main__":
    main()
