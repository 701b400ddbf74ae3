"""A probe of the tracking store: does it answer? Asked so that nothing waits for minutes."""

import http.client
import socket
import ssl
import threading
import urllib.error
import urllib.request
from urllib.parse import urlsplit, urlunsplit

from resources.mlflow_limits import sentence

__all__ = ["why_unreachable"]

PROBE_SECONDS = 2
# Name resolution keeps no time limit of its own.
GIVE_UP_SECONDS = 3
GATEWAY_ERRORS = (502, 503, 504)
DEFAULT_PORTS = {"http": 80, "https": 443, "postgresql": 5432, "mysql": 3306, "mssql": 1433}


def why_unreachable(uri: str) -> str | None:
    """Say what keeps a store from answering; None where it does, or lies on this machine's disk."""
    parts = urlsplit(uri)
    scheme = parts.scheme.partition("+")[0]
    if scheme not in DEFAULT_PORTS or parts.hostname is None:
        return None
    found: list[str | None] = []
    probe = threading.Thread(target=lambda: found.append(_probe(uri)), daemon=True)
    probe.start()
    probe.join(GIVE_UP_SECONDS)
    return found[0] if found else f"no answer within {GIVE_UP_SECONDS} s"


def _probe(uri: str) -> str | None:
    parts = urlsplit(uri)
    scheme = parts.scheme.partition("+")[0]
    try:
        if scheme in ("http", "https"):
            return _probe_http(uri)
        address = (str(parts.hostname), parts.port or DEFAULT_PORTS[scheme])
        with socket.create_connection(address, PROBE_SECONDS):
            return None
    except (OSError, ValueError, http.client.HTTPException) as error:
        return sentence(getattr(error, "reason", None) or error)


def _probe_http(uri: str) -> str | None:
    parts = urlsplit(uri)
    plain = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    try:
        with urllib.request.urlopen(f"{plain.rstrip('/')}/health", timeout=PROBE_SECONDS):  # noqa: S310
            return None
    except urllib.error.HTTPError as error:
        # Any other answer, a refusal too, is the server's: whether it will serve us, MLflow finds out.
        return f"HTTP {error.code} {error.reason}" if error.code in GATEWAY_ERRORS else None
    except urllib.error.URLError as error:
        if isinstance(error.reason, ssl.SSLError):
            return None
        raise
