"""What may be said beside a payload: each in the query, or in a header of the same name behind ``Seckex-``.

Every parameter has a kind, which reads its text and says what it takes; docs/openapi.json says the same, and tests
hold it to this.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import isfinite
from typing import Any, Final, Protocol

from attrs import frozen

from seckex.config.values import NAI, SERVICE
from seckex.delivery.faces import HIGHEST_PRIORITY, LOWEST_PRIORITY, PRIORITY
from seckex.net.delivery.http.problems import unfit

MOST_TEXT: Final = 64
LONGEST_TTL: Final = 3650 * 86400
LONGEST_WAIT: Final = 3600
MOST_AT_ONCE: Final = 16
MOST_LISTED: Final = 1000

_VISIBLE: Final = re.compile(r"[!-~]*")
_WHOLE: Final = re.compile(r"[0-9]{1,18}")
_NUMBER: Final = re.compile(r"[0-9]{1,18}(?:\.[0-9]{1,9})?")
_DIALOG_NAME: Final = re.compile(r"(?:[0-9a-f]{12}|[0-9a-f]{32})")
_DIALOG: Final = re.compile(r"[0-9a-f]{32}")
_MESSAGE: Final = re.compile(r"(?:[0-9a-f]{12}|[0-9a-f]{32})\.[ob][1-9][0-9]{0,19}")
_PLACE: Final = re.compile(r"[0-9a-f]{32}\.[sr][0-9]{1,20}")
_UPLOAD: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Kind(Protocol):
    """Reads a text; ``schema`` says in JSON Schema what it takes."""

    @property
    def expected(self) -> str:
        """What completes the words "must be"."""
        ...

    @property
    def schema(self) -> Mapping[str, Any]:
        """What docs/openapi.json has of it."""
        ...

    def read(self, text: str) -> Any:
        """Return the value, None for what will not do."""
        ...


@frozen
class Pattern:
    """A text of a form."""

    expected: str
    form: re.Pattern[str]

    @property
    def schema(self) -> Mapping[str, Any]:
        """See `Kind`."""
        return {"type": "string", "pattern": f"^{self.form.pattern}$"}

    def read(self, text: str) -> str | None:
        """See `Kind`."""
        return text if self.form.fullmatch(text) else None


@frozen
class Visible:
    """Visible ASCII, or nothing."""

    most: int = MOST_TEXT

    @property
    def expected(self) -> str:
        """See `Kind`."""
        return f"at most {self.most} visible ASCII characters"

    @property
    def schema(self) -> Mapping[str, Any]:
        """See `Kind`."""
        return {"type": "string", "pattern": "^[!-~]*$", "maxLength": self.most}

    def read(self, text: str) -> str | None:
        """See `Kind`."""
        return text if len(text) <= self.most and _VISIBLE.fullmatch(text) else None


@frozen
class Name:
    """A NAI or a service's name, as in configurations."""

    expected: str
    fits: Any
    form: str

    @property
    def schema(self) -> Mapping[str, Any]:
        """See `Kind`."""
        return {"type": "string", "format": self.form}

    def read(self, text: str) -> str | None:
        """See `Kind`."""
        return text if self.fits(text) else None


@frozen
class Whole:
    """A whole number between two limits, both allowed."""

    low: int
    high: int

    @property
    def expected(self) -> str:
        """See `Kind`."""
        return f"a whole number from {self.low} to {self.high}"

    @property
    def schema(self) -> Mapping[str, Any]:
        """See `Kind`."""
        return {"type": "integer", "minimum": self.low, "maximum": self.high}

    def read(self, text: str) -> int | None:
        """See `Kind`."""
        number = int(text) if _WHOLE.fullmatch(text) else -1
        return number if self.low <= number <= self.high else None


@frozen
class Duration:
    """A number of seconds between two limits, both allowed."""

    low: float
    high: float

    @property
    def expected(self) -> str:
        """See `Kind`."""
        return f"a number of seconds from {self.low:g} to {self.high:g}"

    @property
    def schema(self) -> Mapping[str, Any]:
        """See `Kind`."""
        return {"type": "number", "minimum": self.low, "maximum": self.high}

    def read(self, text: str) -> float | None:
        """See `Kind`."""
        number = float(text) if _NUMBER.fullmatch(text) else -1.0
        return number if isfinite(number) and self.low <= number <= self.high else None


@frozen
class OneOf:
    """One of a few words."""

    words: tuple[str, ...]

    @property
    def expected(self) -> str:
        """See `Kind`."""
        return "one of " + ", ".join(self.words)

    @property
    def schema(self) -> Mapping[str, Any]:
        """See `Kind`."""
        return {"type": "string", "enum": list(self.words)}

    def read(self, text: str) -> str | None:
        """See `Kind`."""
        return text if text in self.words else None


@frozen
class Parameter:
    """One parameter; ``default`` is its value where it is not said, None where that is nothing at all."""

    name: str
    kind: Kind
    default: Any = None
    required: bool = False

    @property
    def header(self) -> str:
        """The header that says it as well."""
        return "Seckex-" + "-".join(part.capitalize() for part in self.name.split("-"))

    def value(self, said: list[str]) -> Any:
        """Return the value of what was said, in the query and in headers; raises `Problem`."""
        if not said:
            if self.required:
                raise unfit(self.name, f"said: {self.kind.expected}")
            return self.default
        value = self.kind.read(said[0])
        if value is None or len(set(said)) > 1:
            raise unfit(self.name, self.kind.expected if len(set(said)) == 1 else "said once")
        return value


NAI_KIND: Final = Name(NAI.expected, NAI.fits, "nai")
SERVICE_KIND: Final = Name(SERVICE.expected, SERVICE.fits, "service")
MESSAGE_KIND: Final = Pattern("the name of a message, such as 0123456789ab.o1, or its id", _MESSAGE)
DIALOG_KIND: Final = Pattern("the id of a dialog, 32 hexadecimal digits", _DIALOG)
DIALOG_NAME_KIND: Final = Pattern("the id of a dialog, or its first 12 hexadecimal digits", _DIALOG_NAME)
UPLOAD_KIND: Final = Pattern("1 to 64 letters, digits, hyphens and underscores", _UPLOAD)
STAGES: Final = OneOf(("accepted", "delivered", "processed"))

TO: Final = Parameter("to", NAI_KIND)
SERVICE_OF_PEER: Final = Parameter("service", SERVICE_KIND)
OWN: Final = Parameter("own", SERVICE_KIND, "")
TYPE: Final = Parameter("type", Visible(), "")
PRIORITY_SAID: Final = Parameter("priority", Whole(HIGHEST_PRIORITY, LOWEST_PRIORITY), PRIORITY)
LABEL: Final = Parameter("label", Visible(), "")
TTL: Final = Parameter("ttl", Duration(0.001, LONGEST_TTL))
KEY: Final = Parameter("key", Visible(128), "")
ANSWERS: Final = Parameter("answers", MESSAGE_KIND)
UPLOAD: Final = Parameter("upload", UPLOAD_KIND)
WAIT: Final = Parameter("wait", STAGES, "accepted")
TIMEOUT: Final = Parameter("timeout", Duration(0, LONGEST_WAIT), 30.0)

MODE: Final = Parameter("mode", OneOf(("stream", "one")), "stream")
AT_ONCE: Final = Parameter("at-once", Whole(1, MOST_AT_ONCE), 1)
LEASE: Final = Parameter("lease", Duration(1, LONGEST_WAIT), 300.0)

OF_DIALOG: Final = Parameter("dialog", DIALOG_KIND)
AFTER: Final = Parameter(
    "after", Pattern("where a list has ended before", re.compile(r"[0-9a-f]{32}\.[sr][0-9]{1,20}"))
)
LIMIT: Final = Parameter("limit", Whole(1, MOST_LISTED), MOST_LISTED)

#: What stands in braces in a path.
IN_PATHS: Final[Mapping[str, Kind]] = {
    "message": MESSAGE_KIND,
    "service": SERVICE_KIND,
    "dialog": DIALOG_NAME_KIND,
    "upload": UPLOAD_KIND,
}
