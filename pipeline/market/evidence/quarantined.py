"""A large share of rows that can't be used, and what that probably means."""

from collections.abc import Iterator
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from pipeline.market.evidence.data import Evidence
from pipeline.market.evidence.finding import Finding

__all__ = ["look"]

_SHARE = 0.2
_PRICES = ("open", "high", "low", "close")
# Orders that vendors write, tried first: Coinbase's.
_KNOWN = (("low", "high", "open", "close"),)
_FITS = 0.99
_APART = 5  # times the spread of the three other prices
_MEANING = {
    "missing_value": "empty or unreadable cells: are the columns the right ones? Name them with --columns",
    "bad_price": "prices of zero or less: are the columns the right ones? Name them with --columns",
    "negative_volume": "is the volume's column the right one? Name it with --columns volume=NAME",
    "off_tick": "off_tick is reject in settings.yaml; with snap they are rounded and kept",
    "duplicate": "the same rows twice: files that overlap; keep them once",
    "outside_session": "bars where the exchange is closed: check --time-zone and --symbol",
}


def look(data: Evidence) -> Iterator[Finding]:
    """Explain each reason that took more than a fifth of the rows."""
    rows = data.clean.report.rows_in
    for reason, count in data.clean.report.quarantined.items():
        if count <= 1 or count <= _SHARE * rows:
            continue
        text = f"{count:,} of {rows:,} rows are quarantined as {reason}"
        if reason == "bad_ohlc":
            order = _order(data)
            meant = (
                f"the columns read as {', '.join(_PRICES)} are probably {', '.join(order)}: name each with --columns, "
                "or all in the file's order with --names"
                if order
                else "highs below or lows above other prices: are the columns the right ones? Name them with --columns"
            )
            yield Finding("column_order", "warning", f"{text}: {meant}")
        elif reason == "outside_session" and _volume_outside(data) <= 0.5:
            continue  # a stock's bars before and after hours; times of another zone have a kind of their own
        elif reason in _MEANING:
            yield Finding(f"many_{reason}", "warning", f"{text}: {_MEANING[reason]}")


def _volume_outside(data: Evidence) -> float:
    """The share of the volume in bars outside every session; of the rows where there is no volume."""
    outside = (data.clean.quarantine["reason"] == "outside_session").to_numpy()
    refused, kept = data.clean.quarantine["volume"].to_numpy(), data.clean.bars["volume"].to_numpy()
    volume = float(np.nansum(refused[outside]))
    total = volume + float(kept.sum())
    return volume / total if total > 0 else float(outside.sum() / data.clean.report.rows_in)


def _order(data: Evidence) -> tuple[str, ...] | None:
    """The order of the four price columns in which the highs are highest and the lows lowest; None if none is."""
    prices = data.raw[list(_PRICES)].to_numpy(dtype=np.float64)
    prices = prices[np.isfinite(prices).all(axis=1)]
    if len(prices) == 0 or _one_apart(prices):
        return None
    for names in (*_KNOWN, *permutations(_PRICES)):
        placed = {name: prices[:, place] for place, name in enumerate(names)}
        top, bottom = np.maximum(placed["open"], placed["close"]), np.minimum(placed["open"], placed["close"])
        if np.mean((placed["high"] >= top) & (placed["low"] <= bottom)) >= _FITS:
            return names
    return None


def _one_apart(prices: NDArray[np.float64]) -> bool:
    """Return True if one of the four prices lies at another level than the rest, as an adjusted close does."""
    for place in range(len(_PRICES)):
        others = np.delete(prices, place, axis=1)
        away = np.median(np.abs(prices[:, place] - np.median(others, axis=1)))
        if away > _APART * np.median(np.ptp(others, axis=1)):
            return True
    return False
