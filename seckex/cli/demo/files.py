"""The files of the demo: keys, configurations, the file to fetch. All lie in one temporary folder."""

from __future__ import annotations

import hashlib
import os
import secrets
from pathlib import Path
from typing import Final

from attrs import frozen

from seckex.config.files import create_private
from seckex.config.key0 import Key0, render_key0
from seckex.crypto.secrets import KEY0_SIZE, Secret
from seckex.wire.numbers import LOWEST_SPI

HOME: Final = "home@example.org"
NODE: Final = "node@example.net"
GUEST: Final = "guest@example.com"
_CHUNK: Final = 1 << 20


@frozen
class Ports:
    """Where everything listens, on 127.0.0.1."""

    responder: int
    web: int
    forward: int


def write_key(file: Path, initiator: str) -> None:
    """Make a KEY 0 between ``initiator`` and the responder."""
    spi = LOWEST_SPI + secrets.randbelow(2**32 - LOWEST_SPI)
    key = Secret(secrets.token_bytes(KEY0_SIZE))
    key0 = Key0(spi=spi, kvno=1, initiator=initiator, responder=HOME, key=key)
    create_private(file, render_key0(key0).encode())


def write_payload(file: Path, size: int) -> str:
    """Make a file of ``size`` random octets and return its SHA-256."""
    digest = hashlib.sha256()
    with file.open("wb") as stream:
        for at in range(0, size, _CHUNK):
            octets = os.urandom(min(_CHUNK, size - at))
            digest.update(octets)
            stream.write(octets)
    return digest.hexdigest()


def responder_toml(ports: Ports) -> str:
    """Return the responder's configuration: it takes AES-256-GCM and nothing else."""
    return f"""\
role = "responder"

[identity]
nai = "{HOME}"

[listen]
addresses = ["127.0.0.1"]
port = {ports.responder}

[state]
directory = "responder"

[log]
format = "json"
file = "responder.log"

[policy]
[[policy.proposals]]
encryption = ["aes-256-gcm"]
authentication = ["hmac-sha-256"]
prf = ["prf-hmac-sha-256"]
key-agreement = ["x25519"]
lifetime = "1h"

[[peers]]
nai = "{NODE}"
key0 = "node.key0"
services = ["files"]

[[peers]]
nai = "{GUEST}"
key0 = "guest.key0"

[services.files]
connect = "tcp:host=127.0.0.1:port={ports.web}"
"""


def initiator_toml(ports: Ports) -> str:
    """Return the node's configuration: it would rather have ChaCha20-Poly1305, and can do with AES-256-GCM."""
    return f"""\
role = "initiator"

[identity]
nai = "{NODE}"

[state]
directory = "initiator"

[log]
format = "json"
file = "initiator.log"

[policy]
open-with = 1

[[policy.proposals]]
encryption = ["chacha20-poly1305"]
authentication = ["hmac-sha-256"]
prf = ["prf-hmac-sha-256"]
key-agreement = ["x25519"]
lifetime = "8h"

[[policy.proposals]]
encryption = ["aes-256-gcm"]
authentication = ["hmac-sha-256"]
prf = ["prf-hmac-sha-256"]
key-agreement = ["x25519"]
lifetime = "8h"

[[peers]]
nai = "{HOME}"
key0 = "node.key0"
address = "127.0.0.1"
port = {ports.responder}

[[forwards]]
listen = "tcp:{ports.forward}:interface=127.0.0.1"
peer = "{HOME}"
service = "files"
"""


def guest_toml(ports: Ports) -> str:
    """Return the guest's configuration: AES-128-GCM or nothing."""
    return f"""\
role = "initiator"

[identity]
nai = "{GUEST}"

[state]
directory = "guest"

[log]
format = "json"
file = "guest.log"

[policy]
[[policy.proposals]]
encryption = ["aes-128-gcm"]
authentication = ["hmac-sha-256"]
prf = ["prf-hmac-sha-256"]
key-agreement = ["x25519"]
lifetime = "8h"

[[peers]]
nai = "{HOME}"
key0 = "guest.key0"
address = "127.0.0.1"
port = {ports.responder}
"""
