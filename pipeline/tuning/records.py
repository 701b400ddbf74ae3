"""Count of the trials on a market that studies and backtests in the home prove, by number."""

import datetime as dt
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.home import Home

__all__ = ["Proof", "proofs"]

_STUDY, _SUMMARY = "study.json", "backtest_summary"
_NOTES = "looks.json"  # counts by period, in homes from before looks were copied
_MOST = 1_000_000  # more is no count that trials made


@dataclass(frozen=True)
class Proof:
    """Proof that at least so many trials overlapped a period.

    Attributes
    ----------
    first, last
        First and last session of the period.
    looks
        Complete and pruned trials.
    """

    first: dt.date
    last: dt.date
    looks: int


def proofs(home: Home, symbol: str) -> list[Proof]:
    """Every count that a record of the home holds of a market, the highest first.

    Parameters
    ----------
    home
        Where studies and backtests were made.
    symbol
        Market, such as ``ES``.
    """
    folder = home.root / "tuning" / symbol
    notes = _json(folder / _NOTES)
    documents = [*(notes if isinstance(notes, list) else [notes])]
    documents += [_json(path) for path in sorted(folder.glob(f"*/{_STUDY}"))]
    documents.append(_summary(home.assets / _SUMMARY / f"{symbol}.parquet"))
    found = (_proof(document) for document in documents)
    return sorted((proof for proof in found if proof is not None), key=lambda proof: -proof.looks)


def _proof(document: Any) -> Proof | None:
    """None for a document that holds no count, or is from before periods were written down."""
    try:
        first, last = (dt.date.fromisoformat(document[name]) for name in ("first_session", "last_session"))
        proof = Proof(first, last, int(document["looks"]))
    except (KeyError, ValueError, TypeError, OverflowError):
        return None
    return proof if first <= last and proof.looks <= _MOST else None


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _summary(path: Path) -> dict[str, Any]:
    """Read the trial counts of a backtest's summary from the attributes that pandas writes into the file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        metadata = pq.read_schema(path).metadata or {}
        looks = json.loads(metadata[b"pandas"])["attributes"]["looks"]
        return {**looks, "looks": looks["trials"]}
    except (OSError, pa.ArrowException, KeyError, ValueError, TypeError):
        return {}
