"""A peer as plain as can be: one node and one UDP socket, no reactor, so that what takes time is the other end."""

from __future__ import annotations

import os
import select
import socket
import time
from pathlib import Path

from seckex.config.load import read_key0
from seckex.config.policy import PolicySettings
from seckex.crypto.authority import Key0
from seckex.exchange.terms import Terms
from seckex.machine import Now, Report, Send
from seckex.machine import Path as Address
from seckex.node.actions import Commit, NodeAction, Ready
from seckex.node.limits import Limits, Peer
from seckex.node.node import Node
from seckex.sa.store import Outcome


def _now() -> Now:
    return Now(time.monotonic(), time.time())


def negotiate(key_file: Path, port: int, within: float) -> float:
    """Negotiate with a responder on this machine; return the seconds until the association could be used.

    Returns infinity where there is none after ``within`` seconds.
    """
    key = read_key0(key_file)
    key0 = Key0(key.key, key.spi, key.kvno, (key.initiator, key.responder))
    terms = Terms(key.initiator, key.responder, key0, PolicySettings().as_policy(), os.urandom)
    node = Node(key.initiator, [Peer(terms, Address("127.0.0.1", port))], os.urandom, Limits())
    began = time.monotonic()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.connect(("127.0.0.1", port))
        udp.setblocking(False)

        def run(actions: list[NodeAction]) -> bool:
            done = False
            for action in actions:
                if isinstance(action, Send):
                    udp.send(action.octets)
                elif isinstance(action, Commit):
                    done = run(node.committed(action.token, Outcome.STORED, _now())) or done
                elif isinstance(action, Ready):
                    done = True
                elif not isinstance(action, Report):
                    return False
            return done

        if run(node.want(key.responder, _now())):
            return time.monotonic() - began
        while time.monotonic() < began + within:
            deadline = node.next_deadline(_now())
            wait = 0.1 if deadline is None else min(max(deadline - time.monotonic(), 0), 0.1)
            readable, _, _ = select.select((udp,), (), (), wait)
            done = run(node.receive(udp.recv(2048), Address("127.0.0.1", port), _now())) if readable else False
            if done or run(node.tick(_now())):
                return time.monotonic() - began
    return float("inf")
