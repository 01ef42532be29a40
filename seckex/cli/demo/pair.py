"""Two daemons, chapter by chapter: they negotiate, carry a file, renew their keys, and one offer is refused."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any, Final

from attrs import define, field

from seckex.cli.control_client import Refused, Unreachable, ask
from seckex.cli.demo.download import answers, download
from seckex.cli.demo.files import (
    GUEST,
    HOME,
    NODE,
    Ports,
    guest_toml,
    initiator_toml,
    responder_toml,
    write_key,
    write_payload,
)
from seckex.cli.demo.processes import PATIENCE, Cast, DemoFailed, Process, free_port, seckex, twistd
from seckex.cli.demo.story import Story

_ACTORS: Final = {"initiator": "node", "responder": "home", "guest": "guest"}
_CONTROL: Final = "control.sock"
_STATUS: Final = "seckex.status/1"
_REKEY: Final = "seckex.rekey/1"
_RENEWED_WITHIN: Final = 60


@define
class PairPlay:
    """The demo's state: what was seen, by whom."""

    story: Story
    directory: Path
    size: int
    ports: Ports = field(init=False)
    cast: Cast = field(init=False)
    seen: dict[tuple[str, str], dict[str, Any]] = field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        self.ports = Ports(free_port(socket.SOCK_DGRAM), free_port(), free_port())
        self.cast = Cast(self._told)

    def perform(self) -> None:
        """Play all chapters; raise `DemoFailed` where one fails."""
        digest = self._prepare()
        self._negotiate()
        self._fetch(digest)
        self._renew(digest)
        self._refuse()

    def hints(self) -> Sequence[str]:
        """Return what to try while everything is still running."""
        return [
            *(f"{seckex()} status --config {self.directory}/{role}.toml" for role in ("initiator", "responder")),
            f"curl -sS http://127.0.0.1:{self.ports.forward}/ -o /dev/null -w '%{{http_code}}\\n'",
            f"tail -f {self.directory}/responder.log",
        ]

    # -- chapters

    def _prepare(self) -> str:
        self.story.chapter(
            "The cast",
            f"{NODE} wants to reach a web server that only {HOME} can reach. They share one secret, KEY 0, "
            f"and nothing else. Everything runs on 127.0.0.1, with its state in {self.directory}.",
        )
        www = self.directory / "www"
        www.mkdir()
        digest = write_payload(www / "file.bin", self.size)
        write_key(self.directory / "node.key0", NODE)
        write_key(self.directory / "guest.key0", GUEST)
        configurations = {"responder": responder_toml, "initiator": initiator_toml, "guest": guest_toml}
        for role, render in configurations.items():
            (self.directory / f"{role}.toml").write_text(render(self.ports))
        server = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "--directory", str(www)]
        self.cast.add(Process("web", [*server, str(self.ports.web)], self.directory))
        self.cast.wait("the web server", lambda: answers(self.ports.web))
        self.story.note(f"a web server with a file of {self.size} random octets: port {self.ports.web}")
        self._daemon("responder")
        self.story.note(f"home, a responder daemon ({HOME}): UDP and TCP port {self.ports.responder}")
        return digest

    def _daemon(self, role: str) -> Process:
        plugin = "seckex-responder" if role == "responder" else "seckex-initiator"
        command = [twistd(), "-n", "--pidfile=", plugin, "--config", f"{role}.toml"]
        process = self.cast.add(Process(role, command, self.directory, self.directory / f"{role}.log"))
        control = self.directory / role / _CONTROL
        self.cast.wait(f"the {role} daemon", lambda: control.exists() or self._has_seen(role, "AssociationEstablished"))
        return process

    def _negotiate(self) -> None:
        self.story.chapter(
            "Negotiation",
            "node would rather encrypt with ChaCha20-Poly1305 and offers only that at first; "
            "home takes AES-256-GCM only.",
        )
        self._daemon("initiator")
        self.story.note(f"node, an initiator daemon ({NODE}), forwards local port {self.ports.forward} to home")
        for role in ("initiator", "responder"):
            self.cast.wait("the association", partial(self._has_seen, role, "AssociationConfirmed"))
        for role in ("initiator", "responder"):
            if not any(event in self.seen for event in ((role, "CounterSent"), (role, "CounterReceived"))):
                raise DemoFailed("the first offer was not countered")
        node, home = self._association("initiator", HOME), self._association("responder", NODE)
        rows = [(protocol, node["transforms"][protocol], name) for protocol, name in home["transforms"].items()]
        rows += [
            ("SPI in", f"{node['spi_in']:#010x}", f"{home['spi_in']:#010x}"),
            ("SPI out", f"{node['spi_out']:#010x}", f"{home['spi_out']:#010x}"),
            ("lifetime left", f"{node['lifetime_left']:.0f} s", f"{home['lifetime_left']:.0f} s"),
        ]
        self.story.table(rows, ("", "at node", "at home"))
        if (node["spi_in"], node["spi_out"]) != (home["spi_out"], home["spi_in"]):
            raise DemoFailed("the two ends do not hold the same association")
        self.story.good("both hold the same association; its keys come from KEY 0, X25519 and every octet said so far")

    def _fetch(self, digest: str) -> None:
        self.story.chapter(
            "A real program's traffic",
            f"An ordinary HTTP client fetches the file from 127.0.0.1:{self.ports.forward}. Its octets cross to home "
            "inside an encrypted dialog, and from there to the web server.",
        )
        before = self._association("responder", NODE)["octets_out"]
        began = time.monotonic()
        self._download(digest)
        took = time.monotonic() - began
        self.cast.tell()
        self.story.good(f"SHA-256 is that of the original: {digest}")
        carried = self._association("responder", NODE)["octets_out"] - before
        self.story.note(
            f"{self.size} octets in {took:.2f} s, {self.size / took / 1e6:.0f} MB/s, "
            f"of which hashing is a part; home counts {carried} octets sent through the dialog"
        )
        if carried < self.size:
            raise DemoFailed(f"only {carried} octets went through the dialog")

    def _renew(self, digest: str) -> None:
        self.story.chapter(
            "New keys in the middle of it",
            "The client fetches the file once more. Meanwhile `seckex rekey` at home puts another association, with "
            "keys of its own, in the place of the first, which vouches for it.",
        )
        before = self._association("responder", NODE)["spi_in"]
        answers: list[dict[str, Any] | Exception] = []
        renewing = Thread(target=self._rekey, args=(answers,), daemon=True)
        self._download(digest, halfway=renewing.start)
        renewing.join(PATIENCE)
        self.cast.tell()
        answer = answers[0] if answers else None
        if not isinstance(answer, dict) or not answer["done"]:
            raise DemoFailed(f"there are no new keys: {answer or 'no answer'}")
        # The old one stands until its link has nothing more to carry.
        self.cast.wait("the old association to go", lambda: before not in self._held())
        (after,) = self._held()
        self.story.good(f"SPI {before:#010x} has given way to {after:#010x}, and nobody noticed: SHA-256 is {digest}")

    def _held(self) -> list[int]:
        held = self._status("responder")["associations"]
        return [association["spi_in"] for association in held if association["peer"] == NODE]

    def _rekey(self, answers: list[dict[str, Any] | Exception]) -> None:
        request = {"command": "rekey", "peer": NODE, "seconds": _RENEWED_WITHIN}
        try:
            answers.append(ask(self.directory / "responder" / _CONTROL, request, _REKEY, _RENEWED_WITHIN + 5))
        except (Unreachable, Refused) as error:
            answers.append(error)

    def _download(self, digest: str, halfway: Callable[[], object] | None = None) -> None:
        download(self.story, self.ports.forward, self.size, digest, halfway)

    def _refuse(self) -> None:
        self.story.chapter(
            "A refusal",
            f"{GUEST} also shares a KEY 0 with home, but its policy allows AES-128-GCM and nothing else. "
            "Both ends say why there is no association.",
        )
        self._daemon("guest")
        for role in ("guest", "responder"):
            self.cast.wait("the refusal", partial(self._has_seen, role, "NegotiationRefused"))
        refusals = self._status("responder")["refusals"]
        if not any(refusal["peer"] == GUEST for refusal in refusals):
            raise DemoFailed("home does not tell of the refusal in its status")
        if any(association["peer"] == GUEST for association in self._status("responder")["associations"]):
            raise DemoFailed("there is an association with the guest")
        self.story.good("no association; `seckex status` at either end shows the refusal with its reason")

    # -- what the daemons say

    def _told(self, name: str, event: dict[str, Any]) -> None:
        kind = event["event"]
        self.seen[name, kind] = event
        who, say = _ACTORS.get(name, name), self.story.says
        match kind:
            case "OfferSent":
                say(who, f"offers, round {event['round']}:  {event['offer']}")
            case "CounterSent":
                say(who, f"counters, round {event['round']}:  {event['counter']}", "; ".join(event["reasons"]))
            case "CounterReceived":
                say(who, "hears the counter-offer and holds it against its own policy")
            case "AssociationEstablished":
                chosen = ", ".join(event["transforms"].values())
                why = "; ".join(event["reasons"])
                say(who, f"has agreed after {event['rounds']} rounds:  {chosen}", why)
            case "AssociationConfirmed":
                say(who, "has seen the other's proof of the keys")
            case "NegotiationRefused":
                say(who, f"no association: {event['by']} refuses, {event['code']}", event["reason"])
            case "NegotiationFailed" | "StoreTrouble" | "MessageDropped":
                say(who, event["message"])
            case _:
                if event["level"] in ("error", "critical"):
                    say(who, event["message"])

    def _has_seen(self, role: str, kind: str) -> bool:
        return (role, kind) in self.seen

    def _status(self, role: str) -> dict[str, Any]:
        try:
            return ask(self.directory / role / _CONTROL, {"command": "status"}, _STATUS, PATIENCE)
        except (Unreachable, Refused) as error:
            raise DemoFailed(f"the {role} daemon does not answer: {error}") from error

    def _association(self, role: str, peer: str) -> dict[str, Any]:
        for association in self._status(role)["associations"]:
            if association["peer"] == peer:
                found: dict[str, Any] = association
                return found
        raise DemoFailed(f"the {role} daemon holds no association with {peer}")
