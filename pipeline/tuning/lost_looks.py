"""Looks that the ledger has lost, as other records of the home show them."""

import datetime as dt
import hashlib
import json
from collections.abc import Iterable, Mapping

from pipeline.tuning.ledger_rows import Key, Row, key_of
from pipeline.tuning.looks import COUNTED, LOST
from pipeline.tuning.records import Proof

__all__ = ["lost_looks"]


def lost_looks(
    symbol: str, held: Mapping[Key, Row], copied: Mapping[Key, Row], proofs: Iterable[Proof]
) -> dict[Key, Row]:
    """Rows that the ledger should hold and does not, or holds with a shorter period.

    What was copied comes back as it was. Where a record still tells of more looks than there are then, so many rows
    are made that are known by number only. The same records give the same rows, so that it does no harm if two
    processes put them back, and a look that is made again, or comes back with a backup, is not counted twice.

    Parameters
    ----------
    symbol
        Market.
    held
        All that the ledger holds of it.
    copied
        All that :func:`pipeline.tuning.look_copy.copied_looks` knows of it.
    proofs
        Counts from :func:`pipeline.tuning.records.proofs`.
    """
    lost = {key: _widest(held.get(key), row) for key, row in copied.items()}
    lost = {key: row for key, row in lost.items() if row != held.get(key)}
    for proof in proofs:
        known = {**held, **lost}
        missing = proof.looks - sum(_counts(row, proof) for row in known.values())
        number = 0
        while missing > 0:
            row = _known_by_number(symbol, proof, number)
            if key_of(row) not in known:
                lost[key_of(row)] = row
                missing -= 1
            number += 1
    return lost


def _widest(held: Row | None, copied: Row) -> Row:
    """The row that is held, of all sessions that it was ever seen on."""
    if held is None:
        return copied
    return {**held, "first": min(held["first"], copied["first"]), "last": max(held["last"], copied["last"])}


def _counts(row: Row, proof: Proof) -> bool:
    return row["state"] in COUNTED and row["first"] <= proof.last and row["last"] >= proof.first


def _known_by_number(symbol: str, proof: Proof, number: int) -> Row:
    params = json.dumps({"period": [proof.first.isoformat(), proof.last.isoformat()]})
    return {
        "study": f"{symbol}/{LOST}",
        "number": number,
        "settings": hashlib.sha256(params.encode()).hexdigest(),
        "symbol": symbol,
        "target": LOST,
        "first": proof.first,
        "last": proof.last,
        "state": "complete",
        "values": "[]",
        "params": params,
        "finished": dt.datetime.now(tz=dt.UTC).replace(tzinfo=None),
        "seconds": 0.0,
    }
