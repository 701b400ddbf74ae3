"""Composite profiles: several sessions of one contract as one profile, by adding theirs."""

import datetime as dt
from typing import Literal, cast

import numpy as np
import pandas as pd
from numba import njit
from numpy.typing import NDArray

from pipeline.errors import ConfigurationError, DataError
from pipeline.market.instruments import Instrument
from pipeline.market.sessions import Hours
from pipeline.market.trades import is_trades
from pipeline.profiles.kernels import MAX_STEPS, MAX_TICKS, MICRO_LOTS
from pipeline.profiles.levels import SessionHistograms, area_columns, levels_frame, side_columns
from pipeline.profiles.sessions import Allocation
from pipeline.profiles.streaming import StreamedProfiles
from pipeline.profiles.value_area import check_value_area_settings, value_area

__all__ = ["CompositePeriod", "composite_levels", "composite_profile"]

CompositePeriod = Literal["week", "month", "roll"]


def composite_profile(
    data: pd.DataFrame | StreamedProfiles,
    instrument: Instrument,
    *,
    by: CompositePeriod | int | None = None,
    since: dt.date | str | None = None,
    developing: bool = False,
    allocation: Allocation = "uniform",
    value_area_basis_points: int = 7000,
    expansion_rows: int = 2,
    hours: Hours = "rth",
) -> pd.DataFrame:
    """VPOC and value area of profiles of several sessions, made by adding the sessions' profiles.

    No composite spans two contracts: where a session's contract is not that of the session before, the composite
    ends and another one begins. A row says only what was known at the close of its last session.

    Parameters
    ----------
    data
        Bars, as in :func:`pipeline.profiles.session_profiles`; trades, as in
        :func:`pipeline.profiles.trade_profiles`; or a :class:`StreamedProfiles`, whose hours and contracts count
        then. Of two contracts in a session the one that makes its profile.
    by
        ``"week"`` (Monday to Sunday of the trade dates), ``"month"``, ``"roll"`` (all sessions of a contract, from
        its first on), or a number N: of every session with the N − 1 before it (fewer at the start and after a roll).
    since
        A date instead of ``by``: all sessions from it on, cut at rolls.
    developing
        Whether every session has a row, its composite up to then (the week so far, ...). Otherwise a row a finished
        composite; the last one may still be open. With a number N both are the same.
    allocation, hours
        As in :func:`pipeline.profiles.session_profiles`; ``allocation`` is for bars only.
    value_area_basis_points, expansion_rows
        As in :func:`pipeline.profiles.session_profiles`.

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
        For a date after the last session; for a composite past 2**62 micro-lots or 2**24 ticks, before it is added.

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
    check_value_area_settings(value_area_basis_points, expansion_rows)
    histograms = _histograms(data, instrument, allocation, hours)
    first, last = _spans(histograms, by, since, developing=developing)
    areas, lows, highs = [], [], []
    sides: dict[str, list[int]] = {"volume": [], "buy": [], "sell": []}
    for begin, end in zip(first.tolist(), last.tolist(), strict=True):
        lowest, rows = _added(histograms, histograms.volume, begin, end)
        areas.append(
            value_area(rows, lowest=lowest, basis_points=value_area_basis_points, expansion_rows=expansion_rows)
        )
        lows.append(lowest)
        highs.append(lowest + len(rows) - 1)
        where = slice(histograms.starts[begin], histograms.starts[end + 1])
        for name, sums in sides.items():
            held = getattr(histograms, name)
            sums.append(0 if held is None else int(held[where].sum()))
    columns = {
        "first": histograms.sessions[first].to_numpy(),
        "last": histograms.sessions[last].to_numpy(),
        "sessions": last - first + 1,
        **area_columns(areas, lows, highs, instrument),
    }
    if _of_trades(data):
        volume, buy, sell = (np.array(sums, dtype=np.int64) for sums in sides.values())
        told = histograms.buy is not None
        columns |= side_columns(volume, buy if told else None, sell if told else None, instrument)
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
    allocation: Allocation = "uniform",
    hours: Hours = "rth",
) -> pd.DataFrame:
    """Volume at every tick of every composite.

    Parameters
    ----------
    data, instrument, by, since, developing, allocation, hours
        As in :func:`composite_profile`.

    Returns
    -------
    DataFrame
        Indexed by (``session``, ``price``), the composite's last session and every tick from its lowest to its
        highest: ``volume``, and of trades ``buy_volume``, ``sell_volume``, ``delta``, float64.
    """
    histograms = _histograms(data, instrument, allocation, hours)
    first, last = _spans(histograms, by, since, developing=developing)
    names = ["volume"] if histograms.buy is None else ["volume", "buy", "sell"]
    added: dict[str, list[NDArray[np.int64]]] = {name: [np.empty(0, dtype=np.int64)] for name in names}
    lows = []
    for begin, end in zip(first.tolist(), last.tolist(), strict=True):
        for name in names:
            lowest, rows = _added(histograms, getattr(histograms, name), begin, end)
            added[name].append(rows)
        lows.append(lowest)
    flat = {name: np.concatenate(rows) for name, rows in added.items()}
    widths = np.array([len(rows) for rows in added["volume"][1:]], dtype=np.int64)
    composites = SessionHistograms(
        instrument=instrument,
        sessions=cast(pd.DatetimeIndex, histograms.sessions[last]),
        lowest=np.array(lows, dtype=np.int64),
        starts=np.concatenate([[0], np.cumsum(widths)]).astype(np.int64),
        volume=flat["volume"],
        buy=flat.get("buy"),
        sell=flat.get("sell"),
        contracts=None if histograms.contracts is None else histograms.contracts[last],
    )
    return levels_frame(composites, sides=_of_trades(data))


def _of_trades(data: pd.DataFrame | StreamedProfiles) -> bool:
    return data.allocation == "trades" if isinstance(data, StreamedProfiles) else is_trades(data)


def _histograms(
    data: pd.DataFrame | StreamedProfiles, instrument: Instrument, allocation: Allocation, hours: Hours
) -> SessionHistograms:
    if isinstance(data, StreamedProfiles):
        if data.instrument != instrument:
            raise ConfigurationError(
                f"the profiles are of {data.instrument.symbol}, not of {instrument.symbol}; give one instrument"
            )
        return data.histograms()
    return (
        StreamedProfiles(instrument, allocation="trades" if is_trades(data) else allocation, hours=hours)
        .add(data)
        .histograms()
    )


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
            raise ConfigurationError(f"by is {by}; a composite is of 1 session or more")
        return np.maximum(places - min(by, count) + 1, run), places
    kept = np.ones(count, dtype=bool)
    if since is not None:
        date = _date(since)
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


def _date(value: dt.date | str) -> pd.Timestamp:
    try:
        date = pd.Timestamp(value)
    except (ValueError, TypeError) as error:
        raise ConfigurationError(f"since {value!r} is not a date; write it as 2021-03-15") from error
    if date is pd.NaT:
        raise ConfigurationError(f"since {value!r} is not a date; write it as 2021-03-15")
    return cast(pd.Timestamp, date.tz_localize(None).normalize())


def _added(
    histograms: SessionHistograms, values: NDArray[np.int64], first: int, last: int
) -> tuple[int, NDArray[np.int64]]:
    lows = histograms.lowest[first : last + 1]
    highs = lows + np.diff(histograms.starts[first : last + 2]) - 1
    lowest, highest = int(lows.min()), int(highs.max())

    def name() -> str:
        return (
            f"the composite of {histograms.instrument.symbol} from {histograms.sessions[first].date()} to "
            f"{histograms.sessions[last].date()}"
        )

    if highest - lowest >= MAX_TICKS:
        raise DataError(f"{name()} spans more than {MAX_TICKS:,} ticks; take fewer sessions")
    held = histograms.volume[histograms.starts[first] : histograms.starts[last + 1]]
    # In halves, so that the sum of many sessions can't wrap before it is looked at.
    total = (int((held >> 32).sum()) << 32) + int((held & 0xFFFFFFFF).sum())
    if total > MAX_STEPS * MICRO_LOTS:
        raise DataError(f"{name()} passes 2**62 micro-lots, the most that is summed exactly; take fewer sessions")
    rows = np.zeros(highest - lowest + 1, dtype=np.int64)
    _add_sessions(values, histograms.starts, histograms.lowest, first, last, lowest, rows)
    return lowest, rows


@njit(cache=True, nogil=True)
def _add_sessions(values, starts, lowest, first, last, base, rows):  # type: ignore[no-untyped-def]
    for k in range(first, last + 1):
        shift = lowest[k] - base - starts[k]
        for i in range(starts[k], starts[k + 1]):
            rows[i + shift] += values[i]
