"""Access to the pages, judged by what browsers send with a request."""

import asyncio
from collections.abc import MutableMapping
from typing import Any

import pytest

from cli.pages.guard import GuardedASGI, refusal

OWN = {"host": "127.0.0.1:3000"}
FETCHED = {"sec-fetch-mode": "cors", "sec-fetch-dest": "empty"}
FOLLOWED = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("GET", OWN),
        ("POST", OWN),  # a program, which says nothing of pages
        ("GET", {"host": "LocalHost:3000"}),
        ("GET", {"host": "[::1]:3000"}),
        ("GET", {"host": "localhost"}),
        ("POST", {**OWN, **FETCHED, "origin": "http://127.0.0.1:3000", "sec-fetch-site": "same-origin"}),
        ("GET", {**OWN, "sec-fetch-site": "none", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}),
        ("GET", {**OWN, **FOLLOWED}),  # a link to the page
        ("POST", {"host": "research.example.com", "origin": "https://research.example.com"}),
    ],
)
def test_request_of_the_page_itself_of_a_program_or_by_a_link_passes(method: str, headers: dict[str, str]) -> None:
    assert refusal(method, headers, ["Research.example.com"]) is None


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("GET", {}),
        ("GET", {"host": "evil.example:3000"}),
        ("GET", {"host": "127.0.0.1.evil.example:3000"}),
        ("GET", {"host": "evil.example:127.0.0.1"}),
        ("GET", {"host": "localhost:3000@evil.example"}),
        ("GET", {"host": "research.example.com.evil.example"}),
        ("GET", {**OWN, "origin": "http://evil.example"}),
        ("POST", {**OWN, "origin": "http://evil.example"}),
        ("POST", {**OWN, "origin": "http://127.0.0.1:8888"}),  # another page of this machine
        ("POST", {**OWN, "origin": "http://localhost:3000"}),
        ("POST", {**OWN, "origin": "null"}),
        ("POST", {**OWN, "origin": ""}),
        ("GET", {**OWN, "sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"}),
        ("GET", {**OWN, "sec-fetch-site": "same-site", **FETCHED}),
        ("GET", {**OWN, **FOLLOWED, "sec-fetch-dest": "iframe"}),
        ("POST", {**OWN, **FOLLOWED}),  # a form
    ],
)
def test_request_of_another_page_or_under_another_name_is_refused(method: str, headers: dict[str, str]) -> None:
    assert refusal(method, headers, ["research.example.com"]) is not None


def asked(kind: str, path: str, method: str = "GET", **headers: str) -> list[Any]:
    """Return what a guarded application answers: the status of each message, or its type."""
    sent: list[Any] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "passed"})

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message.get("status", message["type"]))

    async def receive() -> MutableMapping[str, Any]:
        return {"type": f"{kind}.connect"}

    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in {**OWN, **headers}.items()]
    scope = {"type": kind, "path": path, "headers": pairs} | ({"method": method} if kind == "http" else {})
    asyncio.run(GuardedASGI(application)(scope, receive, send))
    return sent


@pytest.mark.parametrize("path", ["/graphql", "/graphql/", "/graphql\n"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_graphql_by_get_is_refused_but_for_its_editor(path: str, method: str) -> None:
    assert asked("http", path, method) == [403, "http.response.body"]
    assert asked("http", path, method, accept="text/html,*/*") == ["passed"]
    assert asked("http", path, "POST") == ["passed"]
    assert asked("http", "/runs", method) == ["passed"]


def test_subscription_of_another_page_is_closed_before_it_opens() -> None:
    assert asked("websocket", "/graphql", origin="http://evil.example") == ["websocket.close"]
    assert asked("websocket", "/graphql", host="evil.example:3000") == ["websocket.close"]
    assert asked("websocket", "/graphql", origin="http://127.0.0.1:3000") == ["passed"]
    assert asked("lifespan", "") == ["passed"]
