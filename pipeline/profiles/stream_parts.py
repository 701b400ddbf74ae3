"""Rows of a chunk of trades or bars by session and contract, as whole numbers."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.market.cleaning import OffTick
from pipeline.market.instruments import Instrument
from pipeline.market.session_clock import inside_sessions, known_session_slices
from pipeline.market.sessions import Hours, SessionSlices
from pipeline.market.trades import TRADE_REASONS, JudgedTrades, judge_trades
from pipeline.profiles.rows import RowRule
from pipeline.profiles.whole_bars import WholeBars

__all__ = ["Key", "Part", "bar_parts", "trade_parts"]

Key = tuple[int, str]  # session as nanoseconds, contract ("" where the data names none)


@dataclass(frozen=True)
class Part:
    """The rows of one session and contract within a chunk, as integers; ``brackets`` where time is counted."""

    key: Key
    brackets: NDArray[np.int64] | None
    low: NDArray[np.int64]
    high: NDArray[np.int64]
    steps: NDArray[np.int64]
    buy: NDArray[np.int64] | None
    sell: NDArray[np.int64] | None
    last: int


def trade_parts(
    chunk: pd.DataFrame, instrument: Instrument, hours: Hours, rule: RowRule, off_tick: OffTick
) -> tuple[list[Part], Counter[str]]:
    """Trades by session and contract, and where each row went."""
    judged = judge_trades(chunk, instrument, off_tick=off_tick)
    counts: Counter[str] = Counter(rows_in=len(judged.instants))
    if judged.reason is not None:
        found = np.bincount(judged.reason[judged.reason >= 0], minlength=len(TRADE_REASONS))
        counts.update({reason: int(number) for reason, number in zip(TRADE_REASONS, found, strict=True)})
        judged = judged.take(judged.reason < 0)
    if (judged.instants[1:] < judged.instants[:-1]).any():
        judged = judged.take(np.argsort(judged.instants, kind="stable"))
    slices = known_session_slices(judged.instants, instrument, hours)
    inside = inside_sessions(judged.instants, instrument)
    for name, rounded in (("prices_rounded", judged.snapped), ("volume_rounded", judged.off_step)):
        if rounded is not None:
            counts[name] = int((rounded if inside is None else rounded & inside).sum())
    counts.update(_places(slices, inside, len(judged.instants)))
    return _parts(slices, judged, judged.ticks, judged.ticks, rule), counts


def bar_parts(
    chunk: pd.DataFrame, instrument: Instrument, hours: Hours, rule: RowRule
) -> tuple[list[Part], Counter[str]]:
    """Bars by session and contract, and where each row went."""
    bars = WholeBars.of(chunk, instrument, rule.allocation)
    runs, rows = bars.runs, len(chunk)
    contract = None if runs is None else (runs.at(np.arange(rows)), runs.names)
    judged = JudgedTrades(bars.instants, bars.low, bars.steps, None, None, contract, None, None, None)
    slices = known_session_slices(bars.instants, instrument, hours)
    counts: Counter[str] = Counter(bars.rounded)
    counts.update(rows_in=rows, **_places(slices, inside_sessions(bars.instants, instrument), rows))
    return _parts(slices, judged, bars.low, bars.high, rule), counts


def _parts(
    slices: SessionSlices, rows: JudgedTrades, low: NDArray[np.int64], high: NDArray[np.int64], rule: RowRule
) -> list[Part]:
    parts = []
    for k, session in enumerate(slices.sessions.tolist()):
        where = slice(slices.starts[k], slices.stops[k])
        bracket = rule.bracket(rows.instants[where], slices.opens[k]) if rule.by_time else None
        parts += _contract_parts(session, rows, low[where], high[where], bracket, where)
    return parts


def _places(slices: SessionSlices, inside: NDArray[np.bool_] | None, rows: int) -> dict[str, int]:
    """How many of the rows lie in the hours asked for, in other hours of a session, and in none."""
    used = int((slices.stops - slices.starts).sum())
    in_any = rows if inside is None else int(inside.sum())
    return {"used": used, "other_hours": in_any - used, "outside_session": rows - in_any}


def _contract_parts(
    session: int,
    rows: JudgedTrades,
    low: NDArray[np.int64],
    high: NDArray[np.int64],
    brackets: NDArray[np.int64] | None,
    where: slice,
) -> list[Part]:
    """The rows ``where`` of a session by contract; low, high and brackets are of these rows alone."""

    def part(name: str, chosen: Any) -> Part:
        def own(array: Any) -> Any:
            return None if array is None else array[where][chosen]

        return Part(
            key=(session, name),
            brackets=None if brackets is None else brackets[chosen],
            low=low[chosen],
            high=high[chosen],
            steps=own(rows.steps),
            buy=own(rows.buy),
            sell=own(rows.sell),
            last=int(own(rows.instants)[-1]),
        )

    if rows.contract is None:
        return [part("", slice(None))]
    codes, names = rows.contract
    within = codes[where]
    if (within == within[0]).all():
        return [part(str(names[within[0]]), slice(None))]
    return [part(str(names[code]), within == code) for code in np.unique(within)]
