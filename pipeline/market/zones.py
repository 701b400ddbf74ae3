"""Time zones by their IANA names."""

from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AfterValidator

__all__ = ["ZoneName", "is_zone"]


def is_zone(name: str) -> bool:
    """Return True if this machine knows a zone of that name."""
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return False
    return True


def _known(name: str) -> str:
    if not is_zone(name):
        raise ValueError(f"time zone {name!r} is not an IANA name such as America/Chicago")
    return name


ZoneName = Annotated[str, AfterValidator(_known)]
