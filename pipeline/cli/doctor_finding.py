"""One line of ``vpoc doctor``."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["Finding", "State"]

State = Literal["good", "note", "bad"]


@dataclass(frozen=True)
class Finding:
    """One thing looked at.

    Attributes
    ----------
    topic, what
        Where it belongs, and what it is.
    state
        ``good``, ``note`` (works without it) or ``bad`` (something won't work).
    said
        What was found.
    remedy
        What to do, where something is missing.
    """

    topic: str
    what: str
    state: State
    said: str
    remedy: str = ""
