"""The contract that the name of a vendor's file tells."""

import re
from pathlib import Path

__all__ = ["contract_from_code", "contract_from_month"]

_MONTHS = "FGHJKMNQUVXZ"


def contract_from_code(path: Path) -> str | None:
    """``ESH20`` from ``ESH20-CME.txt``."""
    found = re.search(rf"(?:^|_)([A-Z0-9]{{1,4}}[{_MONTHS}]\d{{1,2}})(?=[-_.]|$)", path.name)
    return found.group(1) if found else None


def contract_from_month(path: Path) -> str | None:
    """``ESH25`` from ``ES 03-25.Last.txt``."""
    found = re.search(r"(?:^|_)([A-Z0-9]{1,4})[ _](0[1-9]|1[0-2])-(\d{2})(?=\.|$)", path.name)
    return f"{found.group(1)}{_MONTHS[int(found.group(2)) - 1]}{found.group(3)}" if found else None
