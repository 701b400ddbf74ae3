"""Contents of a chart of sessions, before anything is drawn: candles, profiles, and a trader's lines.

Everything is what was known at the right edge, the close of the last bar drawn: bars after it are ignored. Lines
over the candles are what was known at each candle.
"""

import datetime as dt
from dataclasses import dataclass
from typing import Unpack

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.errors import ConfigurationError
from pipeline.market.bars import require_bars
from pipeline.market.instruments import Instrument
from pipeline.market.sessions import Hours
from pipeline.market.trades import clean_trades, is_trades
from pipeline.pictures.contents import Picture, candles, picture
from pipeline.profiles.aligned import align_bars, contract_runs, session_bars
from pipeline.profiles.auction import initial_balance
from pipeline.profiles.developing import developing_levels
from pipeline.profiles.naked import naked_vpocs
from pipeline.profiles.rows import RowRule
from pipeline.profiles.sessions import select_sessions, session_profiles
from pipeline.profiles.settings import ProfileOptions, ProfileSettings

__all__ = ["Bracket", "ChartOptions", "ProfileChart", "Ray", "profile_chart", "spread_labels"]

_BALANCE_MINUTES = 60
_MINUTE = 60_000_000_000
_NEAR = 0.12  # of the candles' height: naked VPOCs that near widen the axis, so that they are seen
_EDGE = 0.04


class ChartOptions(ProfileOptions, total=False):
    """Options of every chart; the rest is as in :func:`pipeline.profiles.session_profiles`.

    Attributes
    ----------
    composite
        How many sessions make the composite, the last one drawn included; 0 for none. Where the sessions drawn are all
        of them, there is none either.
    most_candles, most_rows, most_letters
        Where there are more, neighbouring bars, and rows, are put together; the last is for rows that are lines of
        letters, which need room to be read.
    """

    composite: int
    most_candles: int
    most_rows: int
    most_letters: int


@dataclass(frozen=True)
class Ray:
    """A VPOC from the close of its session to the bar that traded there, or to the right edge.

    Attributes
    ----------
    tick, session
        The VPOC and its session.
    age
        Sessions of the calendar from its own to the one that tested it, or to the last.
    begin, end
        Where it is drawn, in candles: candle k spans k − ½ to k + ½.
    naked
        Whether it was still naked at the right edge.
    """

    tick: int
    session: pd.Timestamp
    age: int
    begin: float
    end: float
    naked: bool


@dataclass(frozen=True)
class Bracket:
    """Initial balance of a session: its ticks, and from where to where it was made, in candles."""

    low: int
    high: int
    begin: float
    end: float


@dataclass(frozen=True)
class ProfileChart:
    """Everything a chart shows.

    Attributes
    ----------
    instrument, hours
        What is drawn.
    candles
        As :func:`pipeline.pictures.contents.candles` gives them.
    own
        The profile of all sessions drawn.
    composite, composite_sessions
        The profile of the last sessions of the contract up to the last one drawn, in rows of the same height, and
        how many sessions that is; None where it would be ``own`` again.
    developing
        ``vpoc``, ``val``, ``vah`` as they were at the close of each candle (prices, NaN before the first volume).
    rays
        VPOCs that were naked somewhere in the chart, by session.
    brackets
        Initial balances.
    low, high
        Ticks at the ends of the price axis.
    """

    instrument: Instrument
    hours: Hours
    candles: pd.DataFrame
    own: Picture
    composite: Picture | None
    composite_sessions: int
    developing: pd.DataFrame
    rays: tuple[Ray, ...]
    brackets: tuple[Bracket, ...]
    low: int
    high: int

    @property
    def title(self) -> str:
        """Symbol, sessions, volume (or TPOs), and how high the rows are where they are higher than a tick."""
        first, last = (self.candles["session"].iloc[k].date() for k in (0, -1))
        days = f"{first}" if first == last else f"{first} to {last}"
        rows = f", rows of {self.own.ticks_per_row} ticks" if self.own.ticks_per_row > 1 else ""
        return f"{self.instrument.symbol} {days} {self.hours}: {self.counted} {self.own.total:,.10g}{rows}"

    @property
    def counted(self) -> str:
        """Unit of the rows, in a word."""
        return "TPOs" if self.own.rule.by_time else "volume"

    @property
    def sessions(self) -> int:
        """Number of sessions drawn."""
        return int(self.candles["session"].nunique())

    @property
    def times(self) -> pd.Series:
        """Open time of each candle, by the instrument's clock."""
        return self.candles["timestamp"].dt.tz_convert(self.instrument.time_zone)

    @property
    def starts(self) -> NDArray[np.int64]:
        """The first candle of each session."""
        return np.flatnonzero(self.candles["session"].ne(self.candles["session"].shift())).astype(np.int64)

    def price(self, tick: int, *, thousands: str = ",") -> str:
        """Write a price to the tick."""
        return f"{float(self.instrument.to_prices(tick)):{thousands}.{self.instrument.price_decimals}f}"

    def longest(self, drawn: Picture) -> float:
        """Length of the longest row of a profile that lies on the price axis, of any where none does."""
        seen = drawn.lengths[(drawn.bottoms + drawn.ticks_per_row > self.low) & (drawn.bottoms <= self.high)]
        return float(seen.max(initial=0.0)) or float(drawn.lengths.max())

    def in_sight(self) -> list[Ray]:
        """Naked VPOCs on the price axis, the lowest first."""
        return sorted((ray for ray in self.rays if ray.naked and self.low <= ray.tick <= self.high), key=_tick)

    def beyond(self) -> tuple[Ray | None, Ray | None]:
        """The nearest naked VPOC above the axis, and below it."""
        above = [ray for ray in self.rays if ray.naked and ray.tick > self.high]
        below = [ray for ray in self.rays if ray.naked and ray.tick < self.low]
        return min(above, key=_tick, default=None), max(below, key=_tick, default=None)


def profile_chart(
    data: pd.DataFrame,
    instrument: Instrument,
    first: dt.date | str | None = None,
    last: dt.date | str | None = None,
    *,
    composite: int = 20,
    most_candles: int = 260,
    most_rows: int = 160,
    most_letters: int = 48,
    **profile: Unpack[ProfileOptions],
) -> ProfileChart:
    """Work out a chart; the parameters are those of :func:`pipeline.pictures.profile_figure`.

    Raises
    ------
    ConfigurationError
        For a composite of fewer than 0 sessions, and as :func:`pipeline.profiles.session_profiles`.
    DataError
        For sessions that do not exist, have no volume or are of several contracts, and as
        :func:`pipeline.profiles.session_profiles`.
    """
    if not isinstance(composite, int | np.integer) or isinstance(composite, bool) or composite < 0:
        raise ConfigurationError(f"composite is {composite!r}; it must be a number of sessions, or 0 for none")
    settings = ProfileSettings.of(**profile)
    hours, rule = settings.hours, settings.rows
    of_trades = is_trades(data)
    bars = _bars_of_trades(data, instrument) if of_trades else require_bars(data)
    selected = select_sessions(bars, instrument, first, last, hours=hours)
    one = selected["session"].iloc[0] == selected["session"].iloc[-1]
    most_rows = most_letters if rule.by_time and one else most_rows
    own = picture(selected, instrument, settings, most_rows=most_rows)
    shown = candles(selected, most_candles, by_clock=of_trades)
    known = bars[bars["timestamp"] <= selected["timestamp"].iloc[-1]]
    profiles = session_profiles(known, instrument, **settings.options)
    runs = contract_runs(profiles)
    profiles = profiles[runs == runs[-1]]
    drawn = profiles[profiles.index >= selected["session"].iloc[0]]
    together = profiles.index[-composite:] if composite else profiles.index[:0]
    added = None
    if len(together) and together[0] < drawn.index[0]:
        before = _of_sessions(known, profiles, together, instrument, hours)
        added = picture(before, instrument, settings, most_rows=most_rows, ticks_per_row=own.ticks_per_row)
    rays = _rays(profiles, known, shown, selected, instrument, hours, rule)
    low, high = _axis(shown, own, rays, instrument)
    developing = developing_levels(selected, instrument, **settings.options)
    closing = np.cumsum(shown["bars"].to_numpy()) - 1
    return ProfileChart(
        instrument=instrument,
        hours=hours,
        candles=shown,
        own=own,
        composite=added,
        composite_sessions=len(together) if added is not None else 0,
        developing=developing[["vpoc", "val", "vah"]].iloc[closing].reset_index(drop=True),
        rays=rays,
        brackets=_brackets(drawn, selected, shown, instrument, hours, rule),
        low=low,
        high=high,
    )


def spread_labels(places: list[float], gap: float) -> list[float]:
    """Places of labels at least ``gap`` apart, in the order given (rising), each as near its own as can be."""
    blocks: list[tuple[float, int]] = []  # middle of the block, labels in it
    for place in places:
        middle, count = place, 1
        while blocks and middle - blocks[-1][0] < gap * (count + blocks[-1][1]) / 2:
            before, others = blocks.pop()
            middle = (middle * count + before * others) / (count + others)
            count += others
        blocks.append((middle, count))
    return [middle + gap * (k - (count - 1) / 2) for middle, count in blocks for k in range(count)]


def _tick(ray: Ray) -> int:
    return ray.tick


def _bars_of_trades(trades: pd.DataFrame, instrument: Instrument) -> pd.DataFrame:
    """Each trade as a bar of one price; those of one time a nanosecond apart, in their order."""
    clean = clean_trades(trades, instrument).trades
    place = np.arange(len(clean))
    instants = np.maximum.accumulate(pd.DatetimeIndex(clean["timestamp"]).asi8 - place) + place
    kept = clean[[name for name in ("volume", "bid_volume", "ask_volume", "contract") if name in clean.columns]]
    price = clean["price"]
    return pd.DataFrame(
        {
            "timestamp": pd.DatetimeIndex(instants.view("M8[ns]"), tz="UTC"),
            **dict.fromkeys(("open", "high", "low", "close"), price),
        }
    ).join(kept)


def _of_sessions(
    bars: pd.DataFrame, profiles: pd.DataFrame, sessions: pd.DatetimeIndex, instrument: Instrument, hours: Hours
) -> pd.DataFrame:
    found = select_sessions(bars, instrument, sessions[0].date(), sessions[-1].date(), hours=hours)
    if "contract" in found.columns:
        found = found[found["contract"] == profiles["contract"].iloc[-1]]
    return found


def _rays(
    profiles: pd.DataFrame,
    known: pd.DataFrame,
    shown: pd.DataFrame,
    selected: pd.DataFrame,
    instrument: Instrument,
    hours: Hours,
    rule: RowRule,
) -> tuple[Ray, ...]:
    """VPOCs of sessions before the last that were naked at some candle."""
    found = naked_vpocs(profiles, known, instrument, hours=hours, **rule.options).iloc[:-1]
    begins = shown["timestamp"].dt.tz_localize(None).to_numpy()
    # Where a session's candles end; those of sessions before the chart end at its left edge.
    ends = np.searchsorted(shown["session"].to_numpy(), found.index.to_numpy(), side="right")
    tested = found["state"].to_numpy(object) == "tested"
    at = found["tested_at"].dt.tz_localize(None).to_numpy()
    candle = np.searchsorted(begins, at, side="right") - 1.0
    inside = np.isin(at, selected["timestamp"].dt.tz_localize(None).to_numpy())
    # Traded in hours that are not drawn: between two candles.
    stops = np.where(tested, np.where(inside, candle, candle + 0.5), len(shown) - 0.5)
    ticks = instrument.to_ticks(found["vpoc"].to_numpy(np.float64))
    return tuple(
        Ray(
            tick=int(ticks[k]),
            session=found.index[k],
            age=int(found["age"].iloc[k]),
            begin=float(ends[k] - 0.5),
            end=float(stops[k]),
            naked=not tested[k],
        )
        for k in range(len(found))
        if stops[k] > ends[k] - 0.5
    )


def _axis(shown: pd.DataFrame, own: Picture, rays: tuple[Ray, ...], instrument: Instrument) -> tuple[int, int]:
    low = min(int(instrument.to_ticks(shown["low"]).min()), own.low)
    high = max(int(instrument.to_ticks(shown["high"]).max()), own.high)
    reach = _NEAR * (high - low)
    near = [ray.tick for ray in rays if ray.naked and low - reach <= ray.tick <= high + reach]
    low, high = min([low, *near]), max([high, *near])
    edge = max(round(_EDGE * (high - low)), 2)
    # Where a naked VPOC lies beyond, its label stands at the edge.
    above = any(ray.naked and ray.tick > high for ray in rays)
    below = any(ray.naked and ray.tick < low for ray in rays)
    return low - edge * (1 + below), high + edge * (1 + above)


def _brackets(
    profiles: pd.DataFrame,
    selected: pd.DataFrame,
    shown: pd.DataFrame,
    instrument: Instrument,
    hours: Hours,
    rule: RowRule,
) -> tuple[Bracket, ...]:
    aligned = align_bars(selected, profiles, instrument, rule)
    balance = initial_balance(aligned, session_bars(aligned, profiles, instrument, hours), instrument, _BALANCE_MINUTES)
    instants = pd.DatetimeIndex(shown["timestamp"]).as_unit("ns").asi8
    opens = aligned.instants_of("rth_open")
    begins = np.searchsorted(instants, opens)
    ends = np.searchsorted(instants, opens + _BALANCE_MINUTES * _MINUTE)
    known = balance["ib_high"].notna().to_numpy() & (ends > begins)
    rows = np.flatnonzero(known)
    low, high = (instrument.to_ticks(balance[name].to_numpy()[rows]) for name in ("ib_low", "ib_high"))
    return tuple(
        Bracket(low=int(low[k]), high=int(high[k]), begin=float(begins[row] - 0.5), end=float(ends[row] - 0.5))
        for k, row in enumerate(rows.tolist())
    )
