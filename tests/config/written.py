"""Configurations as an operator would write them, for tests to break."""

from __future__ import annotations

import os
import time
from pathlib import Path

from seckex.crypto.issuing import Authority

KEY = "00112233445566778899aabbccddeeff" * 2

# The default place of the control socket is too deep a path where tests keep their files.
STATE = """[state]
directory = "state"
control = "/run/seckex.sock"
"""

RESPONDER = f"""
role = "responder"
[identity]
nai = "home@example.org"
{STATE}[[peers]]
nai = "node@example.net"
key0 = "key0.toml"
services = ["web"]
[services.web]
connect = "tcp:127.0.0.1:8000"
"""

INITIATOR = f"""
role = "initiator"
[identity]
nai = "node@example.net"
{STATE}[[peers]]
nai = "home@example.org"
key0 = "key0.toml"
address = "192.0.2.1"
[[forwards]]
listen = "tcp:8080:interface=127.0.0.1"
peer = "home@example.org"
service = "web"
"""


def key0_text(
    spi: object = 4097,
    initiator: str = "node@example.net",
    responder: str = "home@example.org",
    key: str = KEY,
    version: object = 1,
) -> str:
    """Return the text of a key file."""
    return (
        f"version = {version}\nspi = {spi}\nkvno = 1\n"
        f'initiator = "{initiator}"\nresponder = "{responder}"\nkey = "{key}"\n'
    )


def write_private(file: Path, text: str) -> Path:
    """Write a file that only its owner can read."""
    file.write_text(text)
    os.chmod(file, 0o600)
    return file


def write_credentials(directory: Path, name: str, nai: str) -> None:
    """Write a certificate of ``nai``, its key, and in the folder ``ca`` the authority that issued it."""
    folder = directory / "ca"
    folder.mkdir(exist_ok=True)
    now = time.time()
    if not (folder / "ca.pem").exists():
        made = Authority.issue_itself("an authority", now, 30)
        write_private(folder / "ca.pem", made.certificate.decode())
        write_private(folder / "ca.key", made.key.octets.decode())
    authority = Authority.from_pem((folder / "ca.pem").read_bytes(), (folder / "ca.key").read_bytes())
    issued = authority.issue(nai, now, 30)
    write_private(directory / f"{name}.pem", issued.certificate.decode())
    write_private(directory / f"{name}.key", issued.key.octets.decode())


def write_all(directory: Path, settings: str) -> Path:
    """Write ``settings`` and the key file that it names; return the path of the settings."""
    directory.mkdir(exist_ok=True)
    write_private(directory / "key0.toml", key0_text())
    file = directory / "seckex.toml"
    file.write_text(settings)
    return file


MOBILE_NODE = f"""
role = "initiator"
[identity]
nai = "node@example.org"
{STATE}[[peers]]
nai = "home@example.org"
authentication = "registration"
address = "192.0.2.1"
"""
