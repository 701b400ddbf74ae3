"""The check in front of a page: only its own address may ask it for anything.

A page on this machine asks nobody who he is. But any web page that is open in the same browser can have it send
requests here (an image, a form, a script), also under a host name of its own that leads here (DNS rebinding). Browsers
say where a request comes from: ``Host``, ``Origin`` (RFC 6454) and fetch metadata (W3C, ``Sec-Fetch-*``).
"""

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, MutableMapping
from typing import Any

__all__ = ["LOOPBACK", "GuardedASGI", "GuardedWSGI", "refusal"]

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
ASGI = Callable[[Scope, Receive, Send], Awaitable[None]]
WSGI = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def refusal(method: str, headers: Mapping[str, str], names: Collection[str] = ()) -> str | None:
    """Say why a request is refused; None where it may pass.

    Parameters
    ----------
    method
        ``GET``, ``POST`` …
    headers
        The request's, by their names in lower case.
    names
        Host names under which the page may be opened besides the loopback's.
    """
    host = headers.get("host", "").lower()
    name, colon, port = host.rpartition(":")
    if (name if colon and port.isdigit() else host) not in {*LOOPBACK, *(each.lower() for each in names)}:
        return "this page is not served under that host name"
    origin = headers.get("origin")
    # Not the scheme: a proxy in front may speak https.
    if origin is not None and origin.lower().partition("://")[2] != host:
        return "a page of another origin asked for it"
    follows_a_link = (
        method == "GET"
        and headers.get("sec-fetch-mode") == "navigate"
        and headers.get("sec-fetch-dest", "document") == "document"
    )
    if headers.get("sec-fetch-site", "none") not in ("same-origin", "none") and not follows_a_link:
        return "a page of another origin asked for it"
    return None


class GuardedASGI:
    """An ASGI application that answers its own page only, and runs no GraphQL by GET.

    GraphQL by GET is refused whole: Dagster runs mutations by it, and its page asks by POST.
    """

    def __init__(self, application: ASGI, names: Collection[str] = ()) -> None:
        self._application = application
        self._names = names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] not in ("http", "websocket"):
            await self._application(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        method = scope.get("method", "GET")
        reason = refusal(method, headers, self._names)
        is_editor = "text/html" in headers.get("accept", "")  # GraphiQL, which asks by POST
        if reason is None and scope["type"] == "http" and method != "POST" and scope["path"].startswith("/graphql"):
            reason = None if is_editor else "GraphQL is answered by POST only"
        if reason is None:
            await self._application(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": reason})
        else:
            plain = [(b"content-type", b"text/plain; charset=utf-8")]
            await send({"type": "http.response.start", "status": 403, "headers": plain})
            await send({"type": "http.response.body", "body": f"{reason}\n".encode()})


class GuardedWSGI:
    """A WSGI application that answers its own page only."""

    def __init__(self, application: WSGI, names: Collection[str] = ()) -> None:
        self._application = application
        self._names = names

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Pass a request on, or refuse it."""
        prefix = "HTTP_"
        headers = {
            key.removeprefix(prefix).replace("_", "-").lower(): str(value)
            for key, value in environ.items()
            if key.startswith(prefix)
        }
        reason = refusal(str(environ["REQUEST_METHOD"]), headers, self._names)
        if reason is None:
            return self._application(environ, start_response)
        start_response("403 Forbidden", [("Content-Type", "text/plain; charset=utf-8")])
        return [f"{reason}\n".encode()]
