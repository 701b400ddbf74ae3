"""A thing the data shows about how it was read."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal, Self

__all__ = ["Finding", "Severity"]

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Finding:
    """One finding.

    Attributes
    ----------
    kind
        A short name, the same for all findings of a kind.
    severity
        ``error``: nothing can be computed from such data; ``warning``: the numbers are probably not what they seem;
        ``note``: worth knowing.
    message
        The evidence and the remedy, one sentence.
    """

    kind: str
    severity: Severity
    message: str

    def to_dict(self) -> dict[str, str]:
        """The finding as plain values, for JSON and attributes of frames."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, str]) -> Self:
        """The finding that :meth:`to_dict` gave; frames of earlier releases hold the message as ``said``."""
        return cls(**{"message" if name == "said" else name: value for name, value in values.items()})  # type: ignore[arg-type]
