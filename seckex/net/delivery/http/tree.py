"""All that is served: methods and paths, what may be said with each, and who answers.

docs/openapi.json says the same, and tests hold one to the other.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qsl, unquote

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from seckex.net.delivery.http import parameters as may
from seckex.net.delivery.http.asking import Call, write_answer, write_problem
from seckex.net.delivery.http.giving import Giving
from seckex.net.delivery.http.holding import Holdings
from seckex.net.delivery.http.looking import Looking, Readable
from seckex.net.delivery.http.parameters import IN_PATHS, Parameter
from seckex.net.delivery.http.problems import Answer, Problem, problem_of, unfit
from seckex.net.delivery.http.requests import MessagesRequest
from seckex.net.delivery.http.sending import Sending
from seckex.net.delivery.http.uploads import Uploads

Answering: TypeAlias = Callable[[Call], Answer | Awaitable[Answer | None] | None]


@frozen
class Route:
    """One operation; names in braces in ``path`` are those of `parameters.IN_PATHS`; most take no body."""

    method: str
    path: str
    answering: Answering
    parameters: tuple[Parameter, ...] = ()
    has_body: bool = False

    def match(self, parts: list[str]) -> dict[str, str] | None:
        """Return what stands for the names in braces, None for another path."""
        own = self.path[1:].split("/")
        if len(own) != len(parts):
            return None
        found: dict[str, str] = {}
        for mine, theirs in zip(own, parts, strict=True):
            if mine.startswith("{"):
                found[mine[1:-1]] = theirs
            elif mine != theirs:
                return None
        return found


class Tree(Resource):
    """See the module; `close` gives back and forgets what programs have begun."""

    isLeaf = True  # noqa: N815  # Twisted's name

    def __init__(self, messages: Readable, reactor: IReactorTime) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Twisted's
        self.holdings = Holdings()
        self.uploads = uploads = Uploads(messages, reactor)
        sending = Sending(messages, self.holdings, uploads, reactor)
        giving = Giving(messages, self.holdings, reactor)
        looking = Looking(messages)
        listed = (may.OF_DIALOG, may.LIMIT)
        self.routes = (
            Route("POST", "/v1/messages", sending.send, SENDING, has_body=True),
            Route("PUT", "/v1/uploads/{upload}", uploads.put, has_body=True),
            Route("HEAD", "/v1/uploads/{upload}", uploads.head),
            Route("DELETE", "/v1/uploads/{upload}", uploads.delete),
            Route("GET", "/v1/services/{service}/messages", giving.receive, RECEIVING),
            Route("GET", "/v1/messages/{message}/payload", giving.payload),
            Route("POST", "/v1/messages/{message}/verdict", giving.verdict, has_body=True),
            Route("GET", "/v1/messages/{message}/why", looking.why),
            Route("GET", "/v1/dialogs", looking.dialogs, (may.LIMIT,)),
            Route("GET", "/v1/dialogs/{dialog}/why", looking.why_dialog),
            Route("POST", "/v1/dialogs/{dialog}/end", looking.end, has_body=True),
            Route("GET", "/v1/outbox", looking.outbox, listed),
            Route("POST", "/v1/outbox/{message}/retry", looking.retry_out),
            Route("POST", "/v1/outbox/{message}/drop", looking.drop_out),
            Route("GET", "/v1/inbox", looking.inbox, listed),
            Route("POST", "/v1/inbox/{message}/retry", looking.retry_in),
            Route("POST", "/v1/inbox/{message}/drop", looking.drop_in),
            Route("GET", "/v1/dead", looking.dead, (may.AFTER, may.LIMIT)),
            Route("GET", "/v1/dead/{message}", looking.dead_message),
            Route("GET", "/v1/dead/{message}/payload", looking.dead_payload),
            Route("POST", "/v1/dead/{message}/retry", looking.retry_dead),
            Route("POST", "/v1/dead/{message}/drop", looking.drop_dead),
        )

    def render(self, request: Any) -> Any:
        """Answer a request, now or later."""
        Deferred.fromCoroutine(self._answer(request)).addErrback(_failed, request)
        return NOT_DONE_YET

    def close(self) -> None:
        """Forget uploads; what programs have is given back when their connections end."""
        self.uploads.close()

    async def _answer(self, request: MessagesRequest) -> None:
        route, found = self._route(request)
        said = {name: _in_path(name, text) for name, text in found.items()}
        call = Call(request, said | _said(request, route.parameters))
        if not route.has_body:
            call.no_body()
        answer: Any = route.answering(call)
        if isinstance(answer, Awaitable):
            answer = await answer
        if isinstance(answer, Answer):
            write_answer(request, answer)

    def _route(self, request: MessagesRequest) -> tuple[Route, dict[str, str]]:
        method = request.method.decode("latin-1")
        try:
            parts = [unquote(part, errors="strict") for part in request.path.decode("ascii")[1:].split("/")]
        except UnicodeDecodeError as error:
            raise unfit("path", "percent-encoded UTF-8") from error
        fitting = [(route, found) for route in self.routes if (found := route.match(parts)) is not None]
        if not fitting:
            raise Problem(HTTPStatus.NOT_FOUND, "unknown-path", "nothing is served there", "path")
        for route, found in fitting:
            if route.method == method:
                return route, found
        allowed = ", ".join(route.method for route, _ in fitting)
        reason = f"{method[:16]} is not served there, but {allowed}"
        raise Problem(HTTPStatus.METHOD_NOT_ALLOWED, "method", reason, headers={"Allow": allowed})


SENDING: Final = (
    *(may.TO, may.SERVICE_OF_PEER, may.OWN, may.TYPE, may.PRIORITY_SAID, may.LABEL, may.TTL, may.KEY),
    *(may.ANSWERS, may.UPLOAD, may.WAIT, may.TIMEOUT),
)
RECEIVING: Final = (may.MODE, may.AT_ONCE, may.LEASE, may.TIMEOUT)


def _failed(failure: Failure, request: MessagesRequest) -> None:
    write_problem(request, problem_of(failure))


def _in_path(name: str, text: str) -> Any:
    kind = IN_PATHS[name]
    value = kind.read(text)
    if value is None:
        raise unfit(name, kind.expected)
    return value


def _said(request: MessagesRequest, parameters: tuple[Parameter, ...]) -> dict[str, Any]:
    """Return the value of each parameter; one that there is not is refused, in the query."""
    query: dict[str, list[str]] = {}
    try:
        _, _, text = request.uri.decode("ascii").partition("?")
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text), errors="strict", max_num_fields=64)
    except ValueError as error:
        raise unfit("query", "names and values, percent-encoded UTF-8") from error
    for name, value in pairs:
        query.setdefault(name, []).append(value)
    known = {each.name for each in parameters}
    for name in query:
        if name not in known:
            reason = f"there is no parameter {name[:64]} here"
            raise Problem(HTTPStatus.BAD_REQUEST, "unknown-parameter", reason, name[:64])
    return {each.name: each.value(query.get(each.name, []) + _in_headers(request, each)) for each in parameters}


def _in_headers(request: MessagesRequest, parameter: Parameter) -> list[str]:
    try:
        return [each.decode() for each in request.requestHeaders.getRawHeaders(parameter.header.encode(), [])]
    except UnicodeDecodeError as error:
        raise unfit(parameter.header, "UTF-8") from error
