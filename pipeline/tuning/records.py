"""What else in the home tells how often a market was looked at: a ledger that was lost is not believed to be empty.

The ledger lies in a database that can be deleted, replaced or pointed elsewhere. Each count is noted beside the
studies, and stands in what studies and backtests left; the most of these is the least there was.
"""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.home import Home, write_whole

__all__ = ["note_looks", "proven_looks"]

_NOTE, _STUDY = "looks.json", "study.json"
_SUMMARY = "backtest_summary"
# A record of data that has grown or moved on by no more is of the same period.
_GROWTH = timedelta(days=31)


def proven_looks(home: Home, symbol: str, first: pd.Timestamp, last: pd.Timestamp) -> int:
    """Most looks at a market that any record of the home counted within a period; 0 without records.

    Parameters
    ----------
    home
        Where studies and backtests were made.
    symbol
        Market, such as ``ES``.
    first, last
        First and last session of the period; records that reach a month beyond it count too.
    """
    begin, end = first - _GROWTH, last + _GROWTH
    return max((looks for since, until, looks in _records(home, symbol) if begin <= since and until <= end), default=0)


def note_looks(home: Home, symbol: str, first: pd.Timestamp, last: pd.Timestamp, looks: int) -> None:
    """Note a count beside the studies, where no record has as many already."""
    if looks <= proven_looks(home, symbol, first, last):
        return
    note = {"symbol": symbol, "first_session": f"{first:%F}", "last_session": f"{last:%F}", "looks": looks}
    folder = _folder(home, symbol)
    folder.mkdir(parents=True, exist_ok=True)
    others = [one for one in _notes(folder / _NOTE) if not _covers(first, last, one)]
    write_whole(folder / _NOTE, json.dumps([*others, note], indent=2))


def _folder(home: Home, symbol: str) -> Path:
    return home.root / "tuning" / symbol


def _records(home: Home, symbol: str) -> Iterator[tuple[pd.Timestamp, pd.Timestamp, int]]:
    folder = _folder(home, symbol)
    documents = [*_notes(folder / _NOTE), *(_document(path) for path in sorted(folder.glob(f"*/{_STUDY}")))]
    documents.append(_summary(home.assets / _SUMMARY / f"{symbol}.parquet"))
    yield from (record for document in documents if (record := _record(document)) is not None)


def _record(document: Any) -> tuple[pd.Timestamp, pd.Timestamp, int] | None:
    """Period and count of a document; None where it holds none, or is from before periods were written down."""
    try:
        since, until = (pd.Timestamp(document[name]) for name in ("first_session", "last_session"))
        return since, until, int(document["looks"])
    except (KeyError, ValueError, TypeError):
        return None


def _covers(first: pd.Timestamp, last: pd.Timestamp, note: Any) -> bool:
    """Whether a note's period lies within this one, a month aside: the higher count says all that it said."""
    record = _record(note)
    return record is None or (first - _GROWTH <= record[0] and record[1] <= last + _GROWTH)


def _notes(path: Path) -> list[Any]:
    found = _json(path)
    return found if isinstance(found, list) else [found]


def _document(path: Path) -> dict[str, Any]:
    found = _json(path)
    return found if isinstance(found, dict) else {}


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _summary(path: Path) -> dict[str, Any]:
    """What a backtest's summary says of its looks, from the attributes that pandas writes into the file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        metadata = pq.read_schema(path).metadata or {}
        looks = json.loads(metadata[b"pandas"])["attributes"]["looks"]
        return {**looks, "looks": looks["trials"]}
    except (OSError, pa.ArrowException, KeyError, ValueError, TypeError):
        return {}
