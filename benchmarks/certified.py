"""Associations by certificates a second, both ends in one process, against mutual TLS 1.3 handshakes in memory.

Both have one ECDSA P-256 certificate at each end under one authority, and
X25519. TLS is OpenSSL's, by way of Python's `ssl`, its messages carried from one
buffer to another; ours are the machines themselves, without sockets and
store. Chains are verified anew each time, and in a row of its own once, as they
are where the same peer comes again. The third row is what a responder's reactor
waits for at most: the longer of its two answers.
"""

from __future__ import annotations

import os
import ssl
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from attrs import frozen

from benchmarks.certificates import make_certificates
from benchmarks.daemons import folder
from benchmarks.rows import Row, alternate
from seckex.config.policy import PolicySettings
from seckex.crypto.certified import Certificates
from seckex.crypto.identity import Identity, TrustAnchors
from seckex.crypto.issuing import Authority
from seckex.exchange import certified_initiator, certified_messages, certified_responder
from seckex.exchange.attempt import Answer
from seckex.exchange.messages import Received
from seckex.exchange.terms import Terms
from seckex.machine import Now, Persisted, Send, Step
from seckex.machine import Path as Address
from seckex.wire.general import decode_message

NODE, HOME = "node@example.net", "home@example.org"
_WHERE = Address("192.0.2.1", 4434, None, True)


@frozen
class Files:
    """An authority and two principals, in PEM form."""

    ca: bytes
    node: tuple[bytes, bytes]
    home: tuple[bytes, bytes]

    @classmethod
    def make(cls) -> Files:
        """Make all of them."""
        now = time.time()
        issued = Authority.issue_itself("benchmark", now, 10)
        authority = Authority.from_pem(issued.certificate, issued.key.octets)
        node, home = (authority.issue(nai, now, 5) for nai in (NODE, HOME))
        return cls(issued.certificate, (node.certificate, node.key.octets), (home.certificate, home.key.octets))

    def terms(self, trusts: tuple[TrustAnchors, TrustAnchors]) -> tuple[Terms, Terms]:
        """Return the terms of both ends."""
        policy = PolicySettings().as_policy()
        ours = Certificates(Identity.from_pem(*self.node), trusts[0], HOME)
        theirs = Certificates(Identity.from_pem(*self.home), trusts[1], NODE)
        return Terms(NODE, HOME, ours, policy, os.urandom), Terms(HOME, NODE, theirs, policy, os.urandom)

    def trust(self) -> TrustAnchors:
        """Return trust in the authority, which has seen nobody yet."""
        return TrustAnchors.from_pem([self.ca])


def _said(step: Step) -> Received:
    octets = next(action.octets for action in step.actions if isinstance(action, Send))
    return Received(decode_message(octets), octets)


def _set_up(terms: tuple[Terms, Terms]) -> float:
    """Set up one association; return the longest that the responder took for an answer, in seconds of the processor."""
    now = Now(0.0, time.time())
    ours = certified_initiator.begin(terms[0], _WHERE, now)
    offer = _said(ours)
    first = certified_responder.ExpectOffer(terms[1], lambda _nai: True, certified_messages.beginning())
    began = time.process_time()
    theirs = first.receive(certified_responder.Offered(offer, _WHERE), now)
    chosen = time.process_time() - began
    ours = ours.state.receive(Answer(_said(theirs)), now)
    confirm = _said(ours)
    began = time.process_time()
    theirs = theirs.state.receive(certified_responder.Confirmed(confirm, _WHERE), now)
    theirs = theirs.state.receive(Persisted(), now)
    confirmed = time.process_time() - began
    ours = ours.state.receive(Answer(_said(theirs)), now)
    if not isinstance(ours.state, certified_initiator.ExpectStored):
        raise SystemExit("there is no association")
    return max(chosen, confirmed)


def _rate(count: int, once: Callable[[], object]) -> float:
    began = time.perf_counter()
    for _ in range(count):
        once()
    return count / (time.perf_counter() - began)


def _context(side: int, path: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(side)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(path / "ca.pem")
    context.load_cert_chain(path / "own.pem")
    if side == ssl.PROTOCOL_TLS_SERVER:
        context.num_tickets = 0
    return context


def _handshake(client: ssl.SSLContext, server: ssl.SSLContext) -> None:
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [client.wrap_bio(down, up, False), server.wrap_bio(up, down, True)]
    while ends:
        for end in tuple(ends):
            try:
                end.do_handshake()
                ends.remove(end)
            except ssl.SSLWantReadError:
                continue


def measure(quick: bool) -> Sequence[Row]:
    """Return the rows."""
    runs, count = (1, 100) if quick else (5, 600)
    files = Files.make()
    known = files.terms((files.trust(), files.trust()))
    with folder() as path:
        make_certificates(path / "ca.pem", path / "own.pem")
        client = _context(ssl.PROTOCOL_TLS_CLIENT, path)
        server = _context(ssl.PROTOCOL_TLS_SERVER, path)

        def anew() -> float:
            return _set_up(files.terms((files.trust(), files.trust())))

        fresh = [files.terms((files.trust(), files.trust())) for _ in range(count)]
        ours, peer = alternate(
            runs,
            lambda: _rate(count, lambda: _set_up(known)),
            lambda: _rate(count, lambda: _handshake(client, server)),
        )
        waiting = 1000 * sorted(map(_set_up, fresh))[int(0.99 * count)]
        cold = _rate(min(count, 100), anew)
    return [
        Row("associations by certificates, known chains", "1/s", ours, peer, "mutual TLS 1.3 in memory", None),
        Row("the same, everything read and verified anew", "1/s", cold, None, "", None),
        Row("longest answer of a responder, 99 of 100", "ms of processor", waiting, None, "", None),
    ]
