"""Composite profiles: several sessions of one contract as one profile, by adding theirs."""

import datetime as dt
from typing import Any, Literal, Unpack, cast

import numpy as np
import pandas as pd
from numba import njit
from numpy.typing import NDArray

from pipeline.errors import ConfigurationError, DataError
from pipeline.market.instruments import Instrument
from pipeline.market.sessions import trade_date
from pipeline.market.trades import is_trades
from pipeline.profiles.kernels import MAX_STEPS, MAX_TICKS, MICRO_LOTS
from pipeline.profiles.levels import SessionHistograms, area_columns, levels_frame, side_columns
from pipeline.profiles.settings import ProfileOptions, ProfileSettings
from pipeline.profiles.streaming import StreamedProfiles, trade_options
from pipeline.profiles.value_area import ValueArea, exact_sum, value_area

__all__ = ["CompositePeriod", "add_sessions", "composite_levels", "composite_profile"]

CompositePeriod = Literal["week", "month", "roll"]


def composite_profile(
    data: pd.DataFrame | StreamedProfiles,
    instrument: Instrument,
    *,
    by: CompositePeriod | int | None = None,
    since: dt.date | str | None = None,
    developing: bool = False,
    **profile: Unpack[ProfileOptions],
) -> pd.DataFrame:
    """VPOC and value area of profiles of several sessions, made by adding the sessions' profiles.

    No composite spans two contracts: where a session's contract is not that of the session before, the composite
    ends and another one begins. A row says only what was known at the close of its last session.

    Parameters
    ----------
    data
        Bars, as in :func:`pipeline.profiles.session_profiles`; trades, as in
        :func:`pipeline.profiles.trade_profiles`; or a :class:`StreamedProfiles`, whose hours, rows and contracts
        count then. Of two contracts in a session the one that makes its profile.
    by
        ``"week"`` (Monday to Sunday of the trade dates), ``"month"``, ``"roll"`` (all sessions of a contract, from
        its first on), or a number N: of every session with the N − 1 before it (fewer at the start and after a roll).
    since
        A date instead of ``by``: all sessions from it on, cut at rolls.
    developing
        Whether every session has a row, its composite up to then (the week so far, ...). Otherwise a row a finished
        composite; the last one may still be open. With a number N both are the same.
    **profile
        As in :func:`pipeline.profiles.session_profiles`; of trades each takes its price, whether ``allocation`` is
        ``"uniform"`` or ``"close"``.

    Returns
    -------
    DataFrame
        Indexed by ``session``, the composite's last; ``first``, ``last`` (datetime64[ns]), ``sessions`` (int64, those
        with volume), ``vpoc``, ``val``, ``vah``, ``low``, ``high``, ``volume``, ``value_area_volume`` (float64), of
        trades ``buy_volume``, ``sell_volume``, ``delta``; ``contract`` where the data names it.

    Raises
    ------
    ConfigurationError
        Unless one of ``by`` and ``since`` is given, and is one of these.
    DataError
        For a date after the last session; for a composite of more than 2**24 rows, before it is added.

    Notes
    -----
    A session holds at most 2**62 micro-lots; a composite may hold any number. What doesn't fit 64 bits is added and
    compared in Python integers, so that years of a market with a fine volume step are summed exactly too.

    Examples
    --------
    >>> import pandas as pd
    >>> from pipeline.market import load_instruments
    >>> days = pd.to_datetime(["2024-03-07 15:00Z", "2024-03-08 15:00Z", "2024-03-11 15:00Z"])
    >>> bars = pd.DataFrame({"timestamp": days, "low": [100.0, 100.25, 100.0], "high": [100.25, 100.5, 100.0],
    ...     "close": [100.0, 100.5, 100.0], "volume": [20, 40, 5]})
    >>> weeks = composite_profile(bars, load_instruments()["ES"], by="week")
    >>> weeks.index.astype(str).tolist(), weeks["sessions"].tolist(), weeks["vpoc"].tolist(), weeks["volume"].tolist()
    (['2024-03-08', '2024-03-11'], [2, 1], [100.25, 100.0], [60.0, 5.0])
    """
    settings = ProfileSettings.of(**profile)
    histograms = _histograms(data, instrument, settings)
    first, last = _spans(histograms, by, since, developing=developing)
    areas: list[ValueArea] = []
    sides: dict[str, list[int]] = {"volume": [], "buy": [], "sell": []}
    for begin, end in zip(first.tolist(), last.tolist(), strict=True):
        lowest, added = _added(histograms, histograms.volume, begin, end)
        areas.append(value_area(added, settings.area, lowest=lowest))
        where = slice(histograms.starts[begin], histograms.starts[end + 1])
        for name, sums in sides.items():
            held = getattr(histograms, name)
            sums.append(0 if held is None else exact_sum(held[where]))
    low, high = _extremes(histograms, first, last)
    columns = {
        "first": histograms.sessions[first].to_numpy(),
        "last": histograms.sessions[last].to_numpy(),
        "sessions": last - first + 1,
        **area_columns(areas, low, high, instrument, histograms.rule),
    }
    if _of_trades(data, histograms):
        volume, buy, sell = (np.array(sums, dtype=object) for sums in sides.values())
        has_sides = histograms.buy is not None
        columns |= side_columns(
            volume, buy if has_sides else None, sell if has_sides else None, instrument, histograms.rule
        )
    frame = pd.DataFrame(columns, index=histograms.sessions[last])
    if histograms.contracts is not None:
        frame["contract"] = pd.array(histograms.contracts[last], dtype="str")
    return frame


def composite_levels(
    data: pd.DataFrame | StreamedProfiles,
    instrument: Instrument,
    *,
    by: CompositePeriod | int | None = None,
    since: dt.date | str | None = None,
    developing: bool = False,
    **profile: Unpack[ProfileOptions],
) -> pd.DataFrame:
    """Volume (or TPOs) of every row of every composite.

    Parameters
    ----------
    data, instrument, by, since, developing, **profile
        As in :func:`composite_profile`.

    Returns
    -------
    DataFrame
        Indexed by (``session``, ``price``), the composite's last session and the lowest price of every row from its
        lowest to its highest: ``volume``, and of trades ``buy_volume``, ``sell_volume``, ``delta``, float64.
    """
    histograms = _histograms(data, instrument, ProfileSettings.of(**profile))
    first, last = _spans(histograms, by, since, developing=developing)
    names = ["volume"] if histograms.buy is None else ["volume", "buy", "sell"]
    added: dict[str, list[NDArray[Any]]] = {name: [np.empty(0, dtype=np.int64)] for name in names}
    for begin, end in zip(first.tolist(), last.tolist(), strict=True):
        for name in names:
            added[name].append(_added(histograms, getattr(histograms, name), begin, end)[1])
    flat = {name: np.concatenate(each) for name, each in added.items()}
    widths = np.array([len(each) for each in added["volume"][1:]], dtype=np.int64)
    low, high = _extremes(histograms, first, last)
    composites = SessionHistograms(
        instrument=instrument,
        rule=histograms.rule,
        sessions=cast(pd.DatetimeIndex, histograms.sessions[last]),
        low=low,
        high=high,
        starts=np.concatenate([[0], np.cumsum(widths)]).astype(np.int64),
        volume=flat["volume"],
        buy=flat.get("buy"),
        sell=flat.get("sell"),
        contracts=None if histograms.contracts is None else histograms.contracts[last],
    )
    return levels_frame(composites, sides=_of_trades(data, histograms))


def add_sessions(data: pd.DataFrame, instrument: Instrument, settings: ProfileSettings) -> tuple[int, NDArray[Any]]:
    """One profile of all sessions given, contracts ignored: the lowest row, and what each row counts.

    As :func:`pipeline.profiles.profile_rows` of those hours, but of any volume; (0, empty) where nothing counts.
    """
    histograms = _histograms(data, instrument, settings)
    if len(histograms) == 0:
        return 0, np.empty(0, np.int64)
    return _added(histograms, histograms.volume, 0, len(histograms) - 1)


def _of_trades(data: pd.DataFrame | StreamedProfiles, histograms: SessionHistograms) -> bool:
    """Return True if the volume that buyers and sellers initiated is counted."""
    if isinstance(data, StreamedProfiles):
        return data.allocation == "trades"
    return is_trades(data) and not histograms.rule.by_time


def _histograms(
    data: pd.DataFrame | StreamedProfiles, instrument: Instrument, settings: ProfileSettings
) -> SessionHistograms:
    if isinstance(data, StreamedProfiles):
        if data.instrument != instrument:
            raise ConfigurationError(
                f"the profiles are of {data.instrument.symbol}, not of {instrument.symbol}; give one instrument"
            )
        return data.histograms()
    stream = StreamedProfiles(instrument, **(trade_options(settings) if is_trades(data) else settings.options))
    return stream.add(data).histograms()


def _spans(
    histograms: SessionHistograms, by: CompositePeriod | int | None, since: dt.date | str | None, *, developing: bool
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First and last session (both included) of each composite, as positions."""
    if (by is None) == (since is None):
        raise ConfigurationError(
            f"by is {by!r} and since is {since!r}; give one of them: by='week', 'month', 'roll' or a number of "
            "sessions, or since a date"
        )
    sessions = histograms.sessions
    count = len(sessions)
    places = np.arange(count)
    names = histograms.contracts
    rolled = np.zeros(count, dtype=bool) if names is None else np.append(False, names[1:] != names[:-1])[:count]
    run = np.maximum.accumulate(np.where(rolled, places, 0)) if count else places
    if isinstance(by, int | np.integer) and not isinstance(by, bool):
        if by < 1:
            raise ConfigurationError(f"by is {by}; a composite needs at least 1 session")
        return np.maximum(places - min(by, count) + 1, run), places
    kept = np.ones(count, dtype=bool)
    if since is not None:
        date = trade_date(since, "since")
        kept = np.asarray(sessions >= date)
        if count and not kept.any():
            raise DataError(
                f"no session of {histograms.instrument.symbol} lies on or after {date.date()}; they go from "
                f"{sessions[0].date()} to {sessions[-1].date()}"
            )
        period = np.zeros(count, dtype=np.int64)
    elif by == "week":
        period = (sessions.as_unit("ns").asi8 // (86_400 * 10**9) + 3) // 7  # 1970-01-01 was a Thursday
    elif by == "month":
        period = np.asarray(sessions.year * 12 + sessions.month, dtype=np.int64)
    elif by == "roll":
        period = np.zeros(count, dtype=np.int64)
    else:
        raise ConfigurationError(f"by is {by!r}; it must be 'week', 'month', 'roll' or a number of sessions")
    places, period, rolled = places[kept], period[kept], rolled[kept]
    begins = rolled | np.append(True, period[1:] != period[:-1])[: len(places)]
    first = places[np.maximum.accumulate(np.where(begins, np.arange(len(places)), 0))] if len(places) else places
    if developing:
        return first, places
    ends = np.append(first[1:] != first[:-1], True)[: len(first)]
    return first[ends], places[ends]


def _extremes(
    histograms: SessionHistograms, first: NDArray[np.int64], last: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Lowest and highest tick of each composite."""
    spans = list(zip(first.tolist(), last.tolist(), strict=True))
    low = [histograms.low[begin : end + 1].min() for begin, end in spans]
    high = [histograms.high[begin : end + 1].max() for begin, end in spans]
    return np.array(low, dtype=np.int64), np.array(high, dtype=np.int64)


def _added(histograms: SessionHistograms, values: NDArray[np.int64], first: int, last: int) -> tuple[int, NDArray[Any]]:
    """Lowest row of a composite, and the sums of its rows: int64, or Python integers where those could wrap."""
    lows = histograms.lowest[first : last + 1]
    highs = lows + np.diff(histograms.starts[first : last + 2]) - 1
    lowest, highest = int(lows.min()), int(highs.max())
    if highest - lowest >= MAX_TICKS:
        raise DataError(
            f"the composite of {histograms.instrument.symbol} from {histograms.sessions[first].date()} to "
            f"{histograms.sessions[last].date()} spans more than {MAX_TICKS:,} rows; take fewer sessions, or a larger "
            "ticks_per_row"
        )

    def summed(of: NDArray[np.int64]) -> NDArray[np.int64]:
        rows = np.zeros(highest - lowest + 1, dtype=np.int64)
        _add_sessions(of, histograms.starts, histograms.lowest, first, last, lowest, rows)
        return rows

    # What buyers and sellers started is part of the volume, so that its sum bounds theirs.
    if exact_sum(histograms.volume[histograms.starts[first] : histograms.starts[last + 1]]) <= MAX_STEPS * MICRO_LOTS:
        return lowest, summed(values)
    # In halves, each of which would take 2**31 sessions to wrap.
    return lowest, (summed(values >> 32).astype(object) << 32) + summed(values & 0xFFFFFFFF)


@njit(cache=True, nogil=True)
def _add_sessions(values, starts, lowest, first, last, base, rows):  # type: ignore[no-untyped-def]
    for k in range(first, last + 1):
        shift = lowest[k] - base - starts[k]
        for i in range(starts[k], starts[k + 1]):
            rows[i + shift] += values[i]
