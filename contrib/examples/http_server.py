"""HTTP over dialogs: twisted.web as it is, a page that knows its visitor by name and a folder of files."""

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IReactorCore
from twisted.internet.task import react
from twisted.web.resource import Resource
from twisted.web.server import Request, Site
from twisted.web.static import File


class Welcome(Resource):
    """The page at the root."""

    def render_GET(self, request: Request) -> bytes:
        """Say who is there: the name is authenticated, it is the peer's of the association."""
        visitor = request.getClientAddress()
        return f"welcome, {visitor.principal}\n".encode()


async def main(reactor: IReactorCore) -> None:
    """Serve until interrupted."""
    root = Resource()
    root.putChild(b"", Welcome())
    root.putChild(b"files", File("."))
    await serverFromString(reactor, "seckex:service=site:config=home.toml").listen(Site(root))
    print("serving the site", flush=True)
    await Deferred()


react(main)
