"""The contract that the name of a vendor's file tells, or its numbers of instruments."""

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

__all__ = ["contract_from_code", "contract_from_month", "ids_are_contracts"]

_MONTHS = "FGHJKMNQUVXZ"
_DAY = 86_400 * 10**9
_LEAST_DAYS_HELD = 10


def contract_from_code(path: Path) -> str | None:
    """``ESH20`` from ``ESH20-CME.txt``."""
    found = re.search(rf"(?:^|_)([A-Z0-9]{{1,4}}[{_MONTHS}]\d{{1,2}})(?=[-_.]|$)", path.name)
    return found.group(1) if found else None


def contract_from_month(path: Path) -> str | None:
    """``ESH25`` from ``ES 03-25.Last.txt``."""
    found = re.search(r"(?:^|_)([A-Z0-9]{1,4})[ _](0[1-9]|1[0-2])-(\d{2})(?=\.|$)", path.name)
    return f"{found.group(1)}{_MONTHS[int(found.group(2)) - 1]}{found.group(3)}" if found else None


def ids_are_contracts(ids: pa.ChunkedArray, instants: NDArray[np.int64]) -> bool:
    """Return True if a vendor's instrument numbers identify contracts that follow each other.

    Databento's ``instrument_id`` does in a continuous series. The number of a stock tells nothing where it stays, and
    is drawn again every day by some exchanges.

    Parameters
    ----------
    ids
        Per row, the number as text.
    instants
        Nanoseconds, shape (n,).
    """
    codes = ids.to_pandas().to_numpy()[np.argsort(instants, kind="stable")]
    changes = int(np.sum(codes[1:] != codes[:-1]))
    days = (int(instants.max()) - int(instants.min())) / _DAY if len(instants) else 0
    return 0 < changes <= 1 + days / _LEAST_DAYS_HELD
