"""The coming session's orders as texts, for the terminal, Dagster's page and the report."""

from typing import Any

import pandas as pd

from pipeline.coming.sizes import FIXED, REASONS
from pipeline.coming.when import ComingSession
from pipeline.market import Instrument
from pipeline.performance import format_value
from pipeline.strategy.order_columns import TIME_COLUMNS

__all__ = ["order_table"]

_NONE = "–"
_FURTHER = {
    "group": "one cancels the other: {}",
    "trail_ticks": "trailing stop {} ticks",
    "breakeven_ticks": "break-even after {} ticks",
    "give_back_percent": "out once {} % of a gain is given back",
    "give_back_from_ticks": "from {} ticks of gain",
    "max_bars": "out after {} bars",
    FIXED: "size asked for: {}",
}


def order_table(coming: ComingSession) -> pd.DataFrame:
    """Write each row of the orders as texts.

    Returns
    -------
    DataFrame
        ``by``; ``order`` (``buy limit``, ``no order``, ``waits``); ``entry``, ``stop``, ``target``, of candidates that
        were turned away too; ``size``, ``loss at stop`` and ``margin`` of orders; ``score`` with its threshold;
        ``passed`` and ``shut`` gates, the latter where ``why`` does not name them, and ``measures``; ``terms``, the
        order's live window, group and managed exits; ``why`` there is no order or no size.
    """
    rows = [_texts(row, coming.instrument) for row in coming.orders.to_dict("records")]
    return pd.DataFrame(rows)


def _texts(row: dict[str, Any], instrument: Instrument) -> dict[str, str]:
    order, sided = row["action"] == "order", not pd.isna(row["side"])
    name = f"{'buy' if row['side'] > 0 else 'sell'} {row['type']}" if sided else ""
    action = {"order": name, "none": f"no {name or 'order'}", "waits": "waits"}[row["action"]]
    money = {
        "size": str(row["quantity"]),
        "loss at stop": format_value(row["risk"], instrument.currency),
        "margin": format_value(row["margin"], instrument.currency),
    }
    scored = not pd.isna(row["score"])
    return {
        "by": row["by"],
        "order": action,
        "entry": "market" if sided and pd.isna(row["entry"]) else _price(row["entry"], instrument),
        **{each: _price(row[each], instrument) for each in ("stop", "target")},
        **(money if order else dict.fromkeys(money, _NONE)),
        "score": f"{row['score']:.3f} (from {row['threshold']:.3f})" if scored else _NONE,
        "passed": row["passed"],
        "shut": "" if row["shut"] and row["shut"] in row["why"] else row["shut"],
        "measures": row["measures"],
        "terms": "; ".join(_terms(row, instrument)) if sided else "",
        "why": _size_told(row) if order else row["why"],
    }


def _size_told(row: dict[str, Any]) -> str:
    """Say why an order has no size, or what the size of a market order depends on."""
    if row["size_reason"]:
        return REASONS.get(row["size_reason"], row["size_reason"].replace("_", " "))
    return "size and loss are those at the last price; the price of entry decides" if row["type"] == "market" else ""


def _price(price: float, instrument: Instrument) -> str:
    return _NONE if pd.isna(price) else f"{price:.{instrument.price_decimals}f}"


def _terms(row: dict[str, Any], instrument: Instrument) -> list[str]:
    terms = []
    for name, word in zip(TIME_COLUMNS, ("from", "until"), strict=True):
        moment: pd.Timestamp = row.get(name, pd.NaT)
        if not pd.isna(moment):
            terms.append(f"live {word} {moment.tz_convert(instrument.time_zone):%H:%M} {instrument.time_zone}")
    for name, text in _FURTHER.items():
        value = row.get(name)
        if value is not None and value != "" and not pd.isna(value):
            terms.append(text.format(f"{value:g}" if isinstance(value, float) else value))
    return terms
