"""What a provisioning file says: all that a mobile node needs to register at home for the first time.

A key distribution center writes it, sealed (`seckex.crypto.provisioning`), and
the node takes it over once. Nothing that stands in it is ever repeated in an
error: what is said is which entry is wrong and what would be right.

    version = 1
    nai = "node@example.org"
    home-agent = "home@example.org"
    kvno = 1
    key0 = "64 hexadecimal digits"
    home-address = "10.0.0.7"               left out: any
    layer2 = "02:00:00:00:00:01"            left out: none
    addresses = ["192.0.2.1"]               of the home agent, where known

    [[home-keys]]                           its static keys, where known
    kem = 1
    until = 1800000000                      seconds since 1970
    public = "64 or 2432 hexadecimal digits"
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Annotated, Final, TypeAlias

from attrs import field, frozen
from cattrs.errors import ClassValidationError

from seckex.config.key0 import HexKey
from seckex.config.problems import ConfigInvalid, Problem, Unfit
from seckex.config.structure import problems_in, settings_converter
from seckex.config.values import Address, Nai, Several, Whole, is_address
from seckex.crypto.secrets import Secret
from seckex.wire.info import Layer2Extension
from seckex.wire.numbers import Layer2Content

FORMAT: Final = 1
MAX_PROVISION: Final = 2**15
#: docs/registration.md, section 1.
LONGEST_NODE: Final = 128
MOST_HOME_KEYS: Final = 4
MOST_ADDRESSES: Final = 16
#: The octets of a public key, by KEM (docs/registration.md, section 1).
PUBLIC_SIZES: Final = {1: 32, 2: 1216}

_U32: Final = 2**32 - 1
_U63: Final = 2**63 - 1
_HEX: Final = re.compile(r"([0-9a-fA-F]{2})+")
_MAC: Final = re.compile(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}")
_PLACE: Final = re.compile(r"line \d+, column \d+")

IpAddress: TypeAlias = IPv4Address | IPv6Address


@frozen
class HomeAddress:
    """Reads the address of one host."""

    expected: str = 'an IP address such as "10.0.0.7"'

    def read(self, raw: object) -> IpAddress:
        """Return the address."""
        if not isinstance(raw, str) or not is_address(raw) or "%" in raw:
            raise Unfit(self.expected, raw)
        return ip_address(raw)


@frozen
class Ethernet:
    """Reads a layer 2 address."""

    expected: str = 'an Ethernet address such as "02:00:00:00:00:01"'

    def read(self, raw: object) -> Layer2Extension:
        """Return the address."""
        if not isinstance(raw, str) or not _MAC.fullmatch(raw):
            raise Unfit(self.expected, raw)
        return Layer2Extension(Layer2Content.ETHERNET, bytes.fromhex(raw.replace(":", "")))


@frozen
class HexOctets:
    """Reads octets of a public key."""

    expected: str = "hexadecimal digits, two for each octet"

    def read(self, raw: object) -> bytes:
        """Return the octets."""
        if not isinstance(raw, str) or len(raw) > 2 * max(PUBLIC_SIZES.values()) or not _HEX.fullmatch(raw):
            raise Unfit(self.expected, None)
        return bytes.fromhex(raw)


@frozen(kw_only=True)
class HomeKey:
    """A static key of the home agent."""

    kem: Annotated[int, Whole(min(PUBLIC_SIZES), max(PUBLIC_SIZES))]
    """Of which KEM."""

    until: Annotated[int, Whole(0, _U63)]
    """When it ends, in seconds since 1970."""

    public: Annotated[bytes, HexOctets()]
    """The public half."""


@frozen(kw_only=True)
class Provision:
    """What stands in the file."""

    nai: Nai
    """The node's name, 128 octets at most."""

    home_agent: Nai
    """Where it is at home."""

    kvno: Annotated[int, Whole(0, _U32)]
    """The version number of KEY 0."""

    key0: Annotated[Secret, HexKey()] = field(repr=False)
    """The key that the node shares with its home network."""

    home_address: Annotated[IpAddress | None, HomeAddress()] = None
    """Its address at home, None for any."""

    layer2: Annotated[Layer2Extension | None, Ethernet()] = None
    """Its address on layer 2, None for none."""

    addresses: Annotated[tuple[Address, ...], Several(0, MOST_ADDRESSES)] = ()
    """Where the home agent is."""

    home_keys: Annotated[tuple[HomeKey, ...], Several(0, MOST_HOME_KEYS)] = ()
    """Its static keys."""

    def contradictions(self) -> Iterator[Problem]:
        """Yield what is wrong between entries that are each right."""
        if len(self.nai.encode()) > LONGEST_NODE:
            yield Problem("nai", f"must have at most {LONGEST_NODE} octets")
        if self.nai == self.home_agent:
            yield Problem("home-agent", "must be another than the node")
        for index, each in enumerate(self.home_keys):
            if len(each.public) != PUBLIC_SIZES[each.kem]:
                digits = 2 * PUBLIC_SIZES[each.kem]
                yield Problem(f"home-keys[{index}].public", f"must be {digits} hexadecimal digits")


_CONVERTER: Final = settings_converter(Path)


def parse_provision(octets: bytes, file: Path) -> Provision:
    """Return what the text of a provisioning file says; raise `ConfigInvalid`, which names ``file``."""
    if len(octets) > MAX_PROVISION:
        raise ConfigInvalid(file, [Problem("", f"is longer than {MAX_PROVISION} octets")])
    # The errors of the parser quote the file, so that they must not even be the context of ours.
    try:
        raw = tomllib.loads(octets.decode())
    except UnicodeDecodeError:
        fault = Problem("", "is not UTF-8 text")
    except (ValueError, RecursionError) as error:
        place = _PLACE.search(str(error))
        fault = Problem("", f"is not TOML{f' ({place[0]})' if place else ''}")
    else:
        return _structure(raw, file)
    raise ConfigInvalid(file, [fault])


def _structure(raw: dict[str, object], file: Path) -> Provision:
    version = raw.pop("version", None)
    if type(version) is int and version == FORMAT:
        try:
            provision: Provision = _CONVERTER.structure(raw, Provision)
        except ClassValidationError as error:
            problems = list(problems_in(error, "", reveal=False))
        else:
            problems = list(provision.contradictions())
            if not problems:
                return provision
    else:
        problems = [Problem("version", f"must be {FORMAT}, the only format of provisioning files so far")]
    raise ConfigInvalid(file, problems)


def render_provision(provision: Provision) -> bytes:
    """Return the text of the file, to be sealed; it holds the key."""
    lines = [
        f"version = {FORMAT}",
        f"nai = {_quoted(provision.nai)}",
        f"home-agent = {_quoted(provision.home_agent)}",
        f"kvno = {provision.kvno}",
        f'key0 = "{provision.key0.octets.hex()}"',
    ]
    if provision.home_address is not None:
        lines.append(f'home-address = "{provision.home_address}"')
    if provision.layer2 is not None:
        lines.append(f'layer2 = "{provision.layer2.address.hex(":")}"')
    lines.append(f"addresses = [{', '.join(map(_quoted, provision.addresses))}]")
    for key in provision.home_keys:
        lines += ["", "[[home-keys]]", f"kem = {key.kem}", f"until = {key.until}", f'public = "{key.public.hex()}"']
    return "\n".join([*lines, ""]).encode()


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
