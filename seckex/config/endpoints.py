"""Endpoint strings: where a service is found and where a forward listens.

They are written as Twisted's endpoint strings and opened at the edge; here
they are only judged, so that a mistake is found when the file is read and not
when the first dialog arrives. What Twisted would accept and a careful operator
would not mean is refused: a listener that does not say on which interface, or
a unix socket that does not say who may connect; TLS that checks no name.

A service may also be taken by a program that runs in the responder's own
process: its string is `ENDPOINT`, without any arguments.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final

from attrs import Factory, frozen

from seckex.config.problems import Unfit, nearest, shown
from seckex.config.values import is_address, is_host

ENDPOINT: Final = "endpoint"
_MOST: Final = 1024


@frozen
class _Kind:
    """One prefix: the arguments that it must have, those it may have by name, and those of them it must have too."""

    places: tuple[str, ...]
    named: frozenset[str] = frozenset()
    required: Mapping[str, str] = Factory(dict)


_CONNECT: Final = frozenset({"timeout", "bindAddress"})
_CLIENTS: Final[Mapping[str, _Kind]] = {
    "tcp": _Kind(("host", "port"), _CONNECT),
    "unix": _Kind(("path",), frozenset({"timeout"})),
}
_INTERFACE: Final = {"interface": "127.0.0.1 for programs of this machine, 0.0.0.0 for everybody"}
_INTERFACE6: Final = {"interface": r"\:\:1 for programs of this machine, \:\: for everybody"}
_SERVERS: Final[Mapping[str, _Kind]] = {
    "tcp": _Kind(("port",), frozenset({"interface", "backlog"}), _INTERFACE),
    "tcp6": _Kind(("port",), frozenset({"interface", "backlog"}), _INTERFACE6),
    "unix": _Kind(("address",), frozenset({"mode", "backlog"}), {"mode": "600 for this user's programs"}),
}


@frozen(eq=False)  # it stands in annotations, which must have a hash, and its tables have none
class EndpointString:
    """Reads an endpoint string; the value is the string as it was written."""

    kinds: Mapping[str, _Kind]
    lowest_port: int
    example: str
    alone: str = ""

    @property
    def expected(self) -> str:
        """What completes the words "must be"."""
        return f'an endpoint such as "{self.example}"'

    def read(self, raw: object) -> str:
        """Return the string, or raise `Unfit` with what is wrong about it."""
        if not isinstance(raw, str) or not raw.isprintable() or len(raw) > _MOST:
            raise Unfit(self.expected, raw)
        objection = "" if raw and raw == self.alone else self._objection(raw)
        if objection:
            raise Unfit(self.expected, raw, objection)
        return raw

    def _objection(self, text: str) -> str:
        parts = _split(text)
        if parts is None:
            return "it ends in a backslash"
        (prefix, *positional), named = parts
        kind = self.kinds.get(prefix)
        if kind is None:
            other = f', or be "{self.alone}"' if self.alone else ""
            return f"it must begin with one of {', '.join(f'{kind}:' for kind in self.kinds)}{other}"
        # Twisted's parsers differ in how they mix places and names, so that it is all by place or all by name.
        if not positional and named.keys() >= set(kind.places):
            values, others = named, set(named).difference(kind.places)
        elif len(positional) == len(kind.places):
            values, others = dict(zip(kind.places, positional, strict=True)) | named, set(named)
        else:
            return f"{prefix} takes {' and '.join(kind.places)}; a colon inside an argument is written \\:"
        unknown = min(others - kind.named, default=None)
        if unknown is not None:
            known = f"but {', '.join(sorted(kind.named))}"
            return f"{prefix} takes no {shown(unknown)}, {nearest(unknown, kind.named) or known}"
        for name, advice in kind.required.items():
            if not named.get(name):
                return f"it must say {name}= ({advice})"
        return next(filter(None, (self._wrong(name, value, prefix) for name, value in values.items())), "")

    def _wrong(self, name: str, value: str, prefix: str) -> str:
        if name == "port" and not (_is_number(value) and self.lowest_port <= int(value) <= 65535):
            return f"{shown(value)} is not a port from {self.lowest_port} to 65535"
        if name == "host" and not is_host(value):
            return f"{shown(value)} is neither a host's name nor an address"
        if name in ("interface", "bindAddress") and not is_address(value):
            return f"{name} {shown(value)} is not an address"
        if name == "interface" and (":" in value) != (prefix == "tcp6"):
            return f"{prefix} does not listen on {value}"
        if name in ("timeout", "backlog") and not (_is_number(value) and int(value)):
            return f"{name} {shown(value)} is not a number"
        if name == "mode" and not (len(value) <= 4 and _is_number(value) and set(value) <= set("01234567")):
            return f"mode {shown(value)} is not octal"
        if name in ("path", "address") and not (value.startswith("/") and len(value.encode()) <= 107):
            return f"{shown(value)} is not an absolute path of at most 107 octets"
        return ""


def unix_path(text: str) -> str | None:
    """Return the path that a right endpoint string of a server names, None where it names none."""
    parts = _split(text)
    if parts is None or parts[0][0] != "unix":
        return None
    positional, named = parts
    return named["address"] if "address" in named else positional[1]


def tcp_listener(text: str) -> tuple[str, int] | None:
    """Return the address and the port (0: any free one) that a server endpoint listens on, None for a unix socket."""
    parts = _split(text)
    if parts is None or parts[0][0] == "unix":
        return None
    (_, *positional), named = parts
    port = named.get("port") or (positional[0] if positional else "")
    return (named.get("interface", ""), int(port)) if _is_number(port) else None


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 6


def _split(text: str) -> tuple[list[str], dict[str, str]] | None:
    """Return the arguments by position, the prefix first, and by name; None if the last backslash escapes nothing."""
    if (len(text) - len(text.rstrip("\\"))) % 2:
        return None
    positional: list[str] = []
    named: dict[str, str] = {}
    name: str | None = None
    current = ""
    characters = iter(f"{text}:")
    for character in characters:
        if character == "\\":
            current += next(characters)
        elif character == "=" and name is None and positional:
            name, current = current, ""
        elif character == ":":
            if name is None:
                positional.append(current)
            else:
                named[name] = current
            name, current = None, ""
        else:
            current += character
    return positional, named


ClientEndpoint = Annotated[str, EndpointString(_CLIENTS, 1, "tcp:127.0.0.1:8000", ENDPOINT)]
ServerEndpoint = Annotated[str, EndpointString(_SERVERS, 0, "tcp:8080:interface=127.0.0.1")]
