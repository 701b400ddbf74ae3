"""Addresses of databases and servers from environment variables, checked before any library reads them.

A library that can't read an address quotes it in its error, with the password; and two libraries read an unescaped
``@`` or ``/`` in two ways. So an address that is not plainly one is refused here, by the variable's name.
"""

import re
from urllib.parse import unquote_to_bytes, urlsplit, urlunsplit

from pipeline.errors import ConfigurationError

__all__ = ["checked_address", "postgres_address", "shown_address"]

# RFC 3986 section 3.2, without what makes libpq, SQLAlchemy and urllib differ: a second @, and @ ? # after the host.
ADDRESS = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://"
    r"(?:(?P<user>[^\s:/?#\[\]@]*)(?::(?P<password>[^\s/?#\[\]@]*))?@)?"
    r"(?P<host>[^\s:/?#\[\]@]*|\[[0-9A-Fa-f:.]+\])(?::(?P<port>\d{1,5}))?"
    r"(?P<path>/[^\s?#@]*)?(?:\?(?P<query>[^\s#@]*))?"
)
BARE_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
LAST_PORT = 65535
POSTGRES_FORM = "postgresql://user:password@host:5432/database"
FILES = ("sqlite", "file")


def checked_address(address: str, variable: str) -> str:
    """Hand back an address that every library reads in the same way; paths and addresses of files as they are.

    Parameters
    ----------
    address
        The variable's value.
    variable
        Its name, for the message.

    Raises
    ------
    ConfigurationError
        If a user name or password is not percent-encoded, or the rest is not an address. Nothing of it is shown.
    """
    scheme, found, _ = address.partition("://")
    if not found or scheme.partition("+")[0] in FILES:
        return address
    parts = ADDRESS.fullmatch(address)
    if parts is None or BARE_PERCENT.search(address) or int(parts["port"] or 0) > LAST_PORT or not _is_text(address):
        raise ConfigurationError(
            f"{variable} can't be read: give it as {POSTGRES_FORM if _is_postgres(scheme) else 'scheme://host:port'}, "
            "with special characters of the user name and the password percent-encoded (@ as %40, / as %2F, % as %25)"
        )
    return address


def postgres_address(address: str, variable: str) -> str:
    """Check the address of a PostgreSQL database; hand it back with the scheme's long name, which SQLAlchemy 2 needs.

    Raises
    ------
    ConfigurationError
        As :func:`checked_address`, and for another kind of database.
    """
    scheme = address.partition("://")[0]
    if not _is_postgres(scheme):
        raise ConfigurationError(f"{variable} must look like {POSTGRES_FORM}")
    return "postgresql" + checked_address(address, variable).removeprefix(scheme)


def shown_address(address: str) -> str:
    """Hand back an address without what may be secret in it: user, password and query."""
    parts = urlsplit(address)
    if not parts.netloc:
        return address.partition("?")[0]
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=host, query="", fragment=""))


def _is_postgres(scheme: str) -> bool:
    return scheme in ("postgresql", "postgres")


def _is_text(address: str) -> bool:
    """Return True if the percent-encoded part is text: libpq refuses a zero byte, others replace invalid UTF-8."""
    plain = unquote_to_bytes(address)
    try:
        plain.decode()
    except UnicodeDecodeError:
        return False
    return b"\0" not in plain
