"""Contents of every profile picture: rows of some ticks each, levels, nodes, and a bounded number of candles."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.errors import DataError
from pipeline.market.instruments import Instrument
from pipeline.pictures.letters import tpo_letters
from pipeline.profiles.composites import add_sessions
from pipeline.profiles.kernels import MICRO_LOTS
from pipeline.profiles.levels import to_volume
from pipeline.profiles.nodes import find_nodes
from pipeline.profiles.rows import RowRule
from pipeline.profiles.settings import ProfileSettings
from pipeline.profiles.value_area import ValueArea, value_area

__all__ = ["Picture", "candles", "picture"]

_ROUND_STEPS = (1.0, 2.0, 2.5, 5.0)
_SECOND = 1_000_000_000
_CLOCK = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400)
_SIDES = ("ask_volume", "bid_volume")


@dataclass(frozen=True)
class Picture:
    """A profile in rows for the eye, of one or more of the profile's own, whose levels it keeps.

    Attributes
    ----------
    rule
        What the profile's own rows are.
    area
        VPOC, value area and volumes, in ticks and micro-lots (or TPOs).
    total
        Volume, or TPOs, of the profile.
    low, high
        Lowest and highest tick.
    ticks_per_row
        How many ticks a drawn row sums up.
    bottoms
        Lowest tick of each row, rising, shape (rows,).
    lengths
        Volume of each row, or its TPOs (where there are letters: how many), shape (rows,).
    letters
        Where time is counted, of one session: the letters of each row, as
        :func:`pipeline.pictures.letters.tpo_letters` has them; None otherwise.
    sides
        Of ``lengths``, what buyers and what sellers started, shape (2, rows); None unless every bar is of one price and
        tells both: what was traded within a wider bar has no exact price.
    inside
        Which rows hold a tick of the value area, shape (rows,).
    vpoc_row
        Position of the row that holds the VPOC.
    nodes
        Ticks of the high- and of the low-volume nodes, rising, as :func:`pipeline.profiles.nodes.find_nodes` has
        them.
    """

    rule: RowRule
    area: ValueArea
    total: float
    low: int
    high: int
    ticks_per_row: int
    bottoms: NDArray[np.int64]
    lengths: NDArray[np.float64]
    letters: tuple[str, ...] | None
    sides: NDArray[np.float64] | None
    inside: NDArray[np.bool_]
    vpoc_row: int
    nodes: tuple[NDArray[np.int64], NDArray[np.int64]]

    def row_of(self, tick: int) -> int:
        """Position of the row that holds a tick of the range."""
        return tick // self.ticks_per_row - int(self.bottoms[0]) // self.ticks_per_row


def picture(
    bars: pd.DataFrame,
    instrument: Instrument,
    settings: ProfileSettings,
    *,
    most_rows: int,
    ticks_per_row: int | None = None,
) -> Picture:
    """The profile of all bars given, in at most ``most_rows`` (2 or more) rows of equally many ticks.

    ``bars`` are those of :func:`pipeline.profiles.select_sessions`. With ``ticks_per_row`` the rows are that high,
    however many there are, and line up with those of any other picture of that height.

    Raises
    ------
    DataError
        For bars without volume, for bars of several contracts, whose raw prices don't belong in one
        profile, and as :func:`pipeline.profiles.session_profiles`.
    """
    contracts = bars["contract"].unique() if "contract" in bars.columns else []
    if len(contracts) > 1:
        raise DataError(
            f"these bars are of {len(contracts)} contracts ({', '.join(contracts[:3])}), "
            "whose prices don't belong in one profile; choose sessions of one"
        )
    rule = settings.rows
    first, rows = add_sessions(bars, instrument, settings)
    if len(rows) == 0:
        raise DataError(f"these {len(bars)} bars of {instrument.symbol} have no volume, so there is no profile to draw")
    area = value_area(rows, settings.area, lowest=first).in_ticks(rule)
    low, high = _extremes(bars, instrument, rule)
    size = ticks_per_row or _row_size(low, high, max(most_rows, 2), instrument.tick_size, rule.ticks_per_row)
    groups = rule.bottom(first + np.arange(len(rows))) // size - low // size
    bottoms = (low // size + np.arange(groups[-1] + 1)) * size
    lengths = np.bincount(groups, weights=to_volume(rows, instrument, rule)).astype(np.float64)
    letters = None
    if rule.by_time and bars["session"].iloc[0] == bars["session"].iloc[-1]:
        letters = tpo_letters(bars, instrument, rule, hours=settings.hours, ticks_per_row=size)
        lengths = np.array([len(each) for each in letters], np.float64)
    # What doesn't fit 64 bits is compared in whole steps: prominence does not depend on less.
    nodes = find_nodes((rows // MICRO_LOTS).astype(np.int64) if rows.dtype == object else rows, lowest=first)
    return Picture(
        rule=rule,
        area=area,
        total=float(to_volume(np.array([area.total], dtype=object), instrument, rule)[0]),
        low=low,
        high=high,
        ticks_per_row=size,
        bottoms=bottoms,
        lengths=lengths,
        letters=letters,
        sides=None if rule.by_time else _sides(bars, instrument, size, low // size, len(bottoms)),
        inside=(bottoms + size > area.val) & (bottoms <= area.vah),
        vpoc_row=int(area.vpoc // size - low // size),
        nodes=(rule.middle(nodes.high), rule.middle(nodes.low)),
    )


def candles(bars: pd.DataFrame, most: int, *, by_clock: bool = False) -> pd.DataFrame:
    """Merge neighbouring bars of a session into at most about ``most`` candles.

    Parameters
    ----------
    bars
        With ``open``, ``high``, ``low``, ``close``, ``timestamp`` and ``session``, as
        :func:`pipeline.profiles.select_sessions` gives them.
    by_clock
        Whether to put together what lies in the same second, minute, ... instead of equally many bars: for
        trades, which come when they like.

    Returns
    -------
    DataFrame
        The columns named; ``timestamp`` is that of a candle's first bar, ``bars`` how many it holds.
    """
    if by_clock:
        instants = pd.DatetimeIndex(bars["timestamp"]).as_unit("ns").asi8
        place = pd.Series(_by_clock(instants, bars["session"].to_numpy(), most), index=bars.index)
    else:
        place = bars.groupby("session").cumcount() // -(-len(bars) // max(most, 1))
    return (
        bars.groupby(["session", place], sort=False)
        .agg(
            timestamp=("timestamp", "first"),
            open=("open", "first"),
            high=("high", "max"),
            low=("low", "min"),
            close=("close", "last"),
            bars=("close", "size"),
        )
        .droplevel(1)
        .reset_index()
    )


def _by_clock(instants: NDArray[np.int64], sessions: NDArray[np.datetime64], most: int) -> NDArray[np.int64]:
    """The number of the second, minute, ... each time lies in: the finest with at most ``most`` of them."""
    changed = sessions[1:] != sessions[:-1]
    for seconds in _CLOCK:
        place = instants // (seconds * _SECOND)
        if 1 + np.count_nonzero((place[1:] != place[:-1]) | changed) <= most:
            break
    return place


def _extremes(bars: pd.DataFrame, instrument: Instrument, rule: RowRule) -> tuple[int, int]:
    counted = bars if rule.by_time else bars[instrument.to_steps(bars["volume"]) > 0]
    names = ("close", "close") if rule.allocation == "close" else ("low", "high")
    low, high = (instrument.to_ticks(counted[name]) for name in names)
    return int(low.min()), int(high.max())


def _sides(
    bars: pd.DataFrame, instrument: Instrument, size: int, lowest_row: int, rows: int
) -> NDArray[np.float64] | None:
    if not set(_SIDES) <= set(bars.columns):
        return None
    traded = bars[bars["volume"] > 0]
    ticks = instrument.to_ticks(traded["low"])
    sides = np.stack([traded[name].to_numpy(np.float64) for name in _SIDES])
    known = sides.sum(axis=0)
    total = traded["volume"].to_numpy(np.float64)
    if not (np.array_equal(ticks, instrument.to_ticks(traded["high"])) and (sides >= 0).all() and known.any()):
        return None
    if (known > total + instrument.volume_step / 2).any():
        return None
    return np.stack([np.bincount(ticks // size - lowest_row, weights=each, minlength=rows) for each in sides])


def _row_size(low: int, high: int, most_rows: int, tick_size: float, own: int) -> int:
    """The fewest ticks a row that fit, of those that put a round number of the profile's ``own`` rows together.

    Where its rows are single ticks, it is the price step that is round: 1, 2, 2.5 or 5 times 10**k.
    """
    unit = own if own > 1 else 1 / tick_size
    power = 1.0 if own > 1 else 10.0 ** np.floor(np.log10(tick_size))
    while True:
        for step in _ROUND_STEPS:
            size = round(step * power * unit)
            whole = size >= 1 and size % own == 0 and abs(size / (step * power * unit) - 1) < 1e-9
            if whole and high // size - low // size < most_rows:
                return size
        power *= 10
