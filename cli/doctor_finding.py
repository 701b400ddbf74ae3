"""One line of ``vpoc doctor``."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["Finding", "State"]

State = Literal["good", "note", "bad"]


@dataclass(frozen=True)
class Finding:
    """Result of one check.

    Attributes
    ----------
    topic, what
        Topic, and what was checked.
    state
        ``good``, ``note`` (works all the same) or ``bad`` (something won't work).
    message
        What was found.
    remedy
        What to do about it; empty where nothing is needed.
    """

    topic: str
    what: str
    state: State
    message: str
    remedy: str = ""
