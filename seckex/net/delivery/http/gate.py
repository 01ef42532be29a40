"""Who may ask. Over the unix socket the kernel says; over TCP whoever has the token, and nobody from a web page.

A page in a browser of this machine can have it send requests to loopback addresses, and by a name of its own
(``Host``) even read the answers. So over TCP only loopback names are answered to, nothing that a browser sends
with an ``Origin`` or ``Sec-Fetch-Site`` is, and nothing without the token, which is compared in constant time.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Final

from attrs import field, frozen
from twisted.web.http_headers import Headers

from seckex.crypto.secrets import Secret
from seckex.net.delivery.http.problems import Problem

_LOOPBACK: Final = re.compile(rb"(?:localhost|127\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}|\[::1\])(?::[0-9]{1,5})?")
_BEARER: Final = b"Bearer "
_BROWSERS: Final = (b"Origin", b"Sec-Fetch-Site")


class OpenGate:
    """Lets everybody in: the socket's mode and the kernel have said who they are."""

    def refusal(self, headers: Headers) -> Problem | None:  # noqa: ARG002  # see `Gate`
        """Return None."""
        return None


@frozen
class TokenGate:
    """Lets in who has the token."""

    token: Secret = field(repr=False)

    def refusal(self, headers: Headers) -> Problem | None:
        """Return why somebody may not ask."""
        hosts = headers.getRawHeaders(b"Host", [])
        if len(hosts) != 1 or not _LOOPBACK.fullmatch(hosts[0].lower()):
            reason = "only names of this machine are answered to"
            return Problem(HTTPStatus.MISDIRECTED_REQUEST, "host", reason, "Host")
        for name in _BROWSERS:
            if headers.hasHeader(name):
                return Problem(HTTPStatus.FORBIDDEN, "browser", "web pages may not ask", name.decode())
        given = headers.getRawHeaders(b"Authorization", [])
        said = given[0] if len(given) == 1 else b""
        if said.startswith(_BEARER) and Secret(said[len(_BEARER) :]) == self.token:
            return None
        reason = "the token is missing or another one"
        return Problem(
            HTTPStatus.UNAUTHORIZED, "token", reason, "Authorization", headers={"WWW-Authenticate": "Bearer"}
        )
