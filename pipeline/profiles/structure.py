"""The structure of each session: nodes, shape, initial balance, prints, and its place against the session before."""

from collections.abc import Iterator
from typing import Unpack

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.errors import DataError
from pipeline.market.instruments import Instrument
from pipeline.market.sessions import Hours, check_hours
from pipeline.profiles.aligned import SessionBars, align_bars, require_profiles, session_bars
from pipeline.profiles.auction import initial_balance, session_prints
from pipeline.profiles.brackets import tpo_rows
from pipeline.profiles.histogram import spread_rows
from pipeline.profiles.levels import to_volume
from pipeline.profiles.nodes import check_node_settings, find_nodes
from pipeline.profiles.relations import session_relations
from pipeline.profiles.rows import RowOptions, RowRule, check_minutes
from pipeline.profiles.shape import shape_at

__all__ = ["session_structure", "single_prints", "volume_nodes"]

Ints = NDArray[np.int64]


def session_structure(
    bars: pd.DataFrame,
    profiles: pd.DataFrame,
    instrument: Instrument,
    *,
    hours: Hours = "rth",
    node_window: int | None = None,
    node_prominence_basis_points: int = 1000,
    initial_balance_minutes: int = 60,
    **rows: Unpack[RowOptions],
) -> pd.DataFrame:
    """Compute what a reader of market profiles notes about each session, known at its close.

    Nothing in row t depends on later sessions, and nothing spans two contracts. Only bars with volume (where the
    profiles count time, all bars), of the hours and of the profile's contract, count.

    Parameters
    ----------
    bars
        The bars the profiles were made of.
    profiles
        From :func:`pipeline.profiles.session_profiles`, shape (sessions, ...).
    instrument
        Its calendar says which session a bar belongs to and when its regular hours open.
    hours
        Those the profiles were made with.
    node_window, node_prominence_basis_points
        As ``window`` and ``prominence_basis_points`` in :func:`pipeline.profiles.find_nodes`.
    initial_balance_minutes
        Length of the initial balance, from the open of regular hours (around the clock: of the session).
    **rows
        ``allocation``, ``ticks_per_row``, ``tpo_minutes``: those the profiles were made with. The last is the length
        of a time bracket, from the open of ``hours``, whatever the allocation.

    Returns
    -------
    DataFrame
        Indexed like ``profiles``. Prices and ticks are float64, NaN where there is none; ``int`` is int64.

        contract
            Only where the profiles carry one (str).
        shape
            ``P``, ``b``, ``D`` or ``B`` (str), see :func:`pipeline.profiles.profile_shape`.
        hvn_count, lvn_count
            High- and low-volume nodes (int), see :func:`pipeline.profiles.find_nodes`; of rows of several ticks, each
            at its row's middle tick.
        hvn_above, hvn_below, lvn_above, lvn_below
            The nearest at or above the session's close, at or below it.
        ib_high, ib_low, ib_range_ticks, ib_extension_up_ticks, ib_extension_down_ticks
            Initial balance and how far beyond it the session went later; NaN where no bar lies in it.
        ib_broken_up, ib_broken_down
            Whether it went beyond at all (bool).
        single_print_ticks, single_print_zones
            Ticks inside the range, of rows that one bracket alone touched, and in how many stretches they lie (int).
        selling_tail_ticks, buying_tail_ticks
            Ticks from the high down, from the low up, of rows that one bracket alone touched (int).
        poor_high, poor_low
            Whether two brackets or more touched the row of the extreme (bool).
        value_area_overlap, value_area_relation, vpoc_migration_ticks, vpoc_direction, vpoc_run
            Against the session before (float64; the relation str), missing in the first row and across a roll; see
            :func:`pipeline.profiles.session_relations`.

    Raises
    ------
    ConfigurationError
        For settings that are not among these.
    DataError
        For bars or profiles that are not usable, or not of each other.

    Examples
    --------
    >>> import pandas as pd
    >>> from pipeline.market import load_instruments
    >>> from pipeline.profiles import session_profiles
    >>> es = load_instruments()["ES"]
    >>> bars = pd.DataFrame({
    ...     "timestamp": pd.to_datetime(["2024-03-05 14:30Z", "2024-03-05 15:00Z", "2024-03-05 15:30Z"]),
    ...     "low": [5100.0, 5101.0, 5103.0], "high": [5101.0, 5102.5, 5104.0],
    ...     "close": [5101.0, 5102.0, 5104.0], "volume": [500, 700, 100]})
    >>> row = session_structure(bars, session_profiles(bars, es), es).loc["2024-03-05"]
    >>> print(*row[["shape", "ib_high", "ib_extension_up_ticks", "selling_tail_ticks"]])
    b 5102.5 6.0 5
    """
    rule = RowRule(**rows)
    _check_settings(hours, node_window, node_prominence_basis_points)
    check_minutes("initial_balance_minutes", initial_balance_minutes)
    sessions = require_profiles(profiles)
    aligned = align_bars(bars, profiles, instrument, rule)
    own = session_bars(aligned, profiles, instrument, hours)
    shapes: list[str] = []
    levels = np.full((len(sessions), 4), np.nan)
    counts = np.zeros((len(sessions), 6), np.int64)
    poor = np.zeros((len(sessions), 2), np.bool_)
    for k, lowest, profile, vpoc in _profiles(own, profiles, sessions, instrument):
        shapes.append(shape_at(profile, vpoc - lowest, int(profile.sum())))
        nodes = find_nodes(
            profile, lowest=lowest, window=node_window, prominence_basis_points=node_prominence_basis_points
        )
        close = int(own.close[own.stops[k] - 1])
        levels[k] = *_around(rule.middle(nodes.high), close), *_around(rule.middle(nodes.low), close)
        prints = session_prints(own, k, _name(instrument, sessions, k))
        single = int((prints.zone_high - prints.zone_low + 1).sum())
        zones = len(prints.zone_low)
        counts[k] = len(nodes.high), len(nodes.low), single, zones, prints.selling_tail, prints.buying_tail
        poor[k] = prints.poor_high, prints.poor_low

    structure = pd.DataFrame(index=sessions)
    if "contract" in profiles.columns:
        structure["contract"] = profiles["contract"].astype("str").array
    structure["shape"] = pd.array(shapes, dtype="str")
    structure["hvn_count"], structure["lvn_count"] = counts[:, 0], counts[:, 1]
    for column, name in enumerate(("hvn_above", "hvn_below", "lvn_above", "lvn_below")):
        structure[name] = instrument.to_prices(levels[:, column])
    balance = initial_balance(aligned, own, instrument, initial_balance_minutes)
    for name in balance.columns:
        structure[name] = balance[name].to_numpy()
    names = ("single_print_ticks", "single_print_zones", "selling_tail_ticks", "buying_tail_ticks")
    for column, name in enumerate(names, start=2):
        structure[name] = counts[:, column]
    structure["poor_high"], structure["poor_low"] = poor[:, 0], poor[:, 1]
    return pd.concat([structure, session_relations(profiles, instrument)], axis=1)


def volume_nodes(
    bars: pd.DataFrame,
    profiles: pd.DataFrame,
    instrument: Instrument,
    *,
    hours: Hours = "rth",
    node_window: int | None = None,
    node_prominence_basis_points: int = 1000,
    **rows: Unpack[RowOptions],
) -> pd.DataFrame:
    """Every high- and low-volume node of every session.

    Parameters
    ----------
    bars, profiles, instrument, hours, node_window, node_prominence_basis_points, **rows
        As in :func:`session_structure`.

    Returns
    -------
    DataFrame
        A row a node, by session, high before low, rising: ``session`` (datetime64[ns]), ``kind`` (str: ``high``,
        ``low``), ``price`` (float64; of rows of several ticks the row's middle), ``volume`` (float64: what was traded
        in that row alone, or its TPOs), ``prominence`` (float64: a share of the VPOC's volume).

    Raises
    ------
    ConfigurationError, DataError
        As in :func:`session_structure`.
    """
    rule = RowRule(**rows)
    _check_settings(hours, node_window, node_prominence_basis_points)
    sessions = require_profiles(profiles)
    own = session_bars(align_bars(bars, profiles, instrument, rule), profiles, instrument, hours)
    owner: list[int] = []
    kind: list[str] = []
    ticks: list[Ints] = []
    volume: list[Ints] = []
    prominence: list[NDArray[np.float64]] = []
    for k, lowest, profile, _ in _profiles(own, profiles, sessions, instrument):
        nodes = find_nodes(
            profile, lowest=lowest, window=node_window, prominence_basis_points=node_prominence_basis_points
        )
        for name, found, share in (
            ("high", nodes.high, nodes.high_prominence),
            ("low", nodes.low, nodes.low_prominence),
        ):
            owner += [k] * len(found)
            kind += [name] * len(found)
            ticks.append(rule.middle(found))
            volume.append(profile[found - lowest])
            prominence.append(share)
    return pd.DataFrame(
        {
            "session": sessions[owner],
            "kind": pd.array(kind, dtype="str"),
            "price": instrument.to_prices(_joined(ticks)),
            "volume": to_volume(_joined(volume), instrument, rule),
            "prominence": np.concatenate([np.empty(0), *prominence]),
        }
    )


def single_prints(
    bars: pd.DataFrame,
    profiles: pd.DataFrame,
    instrument: Instrument,
    *,
    hours: Hours = "rth",
    **rows: Unpack[RowOptions],
) -> pd.DataFrame:
    """Every stretch of single prints inside the sessions' ranges.

    Parameters
    ----------
    bars, profiles, instrument, hours, **rows
        As in :func:`session_structure`.

    Returns
    -------
    DataFrame
        A row a stretch, by session, rising: ``session`` (datetime64[ns]), ``low``, ``high`` (prices, the ends of its
        rows), ``ticks`` (int64), ``bracket`` (int64: the one that touched it, counted from 0 at the open of
        the hours).

    Raises
    ------
    ConfigurationError, DataError
        As in :func:`session_structure`.
    """
    _check_settings(hours)
    sessions = require_profiles(profiles)
    aligned = align_bars(bars, profiles, instrument, RowRule(**rows))
    own = session_bars(aligned, profiles, instrument, hours)
    found = [session_prints(own, k, _name(instrument, sessions, k)) for k in range(len(sessions))]
    owner = np.repeat(np.arange(len(found)), [len(prints.zone_low) for prints in found])
    low = _joined([prints.zone_low for prints in found])
    high = _joined([prints.zone_high for prints in found])
    return pd.DataFrame(
        {
            "session": sessions[owner],
            "low": instrument.to_prices(low),
            "high": instrument.to_prices(high),
            "ticks": high - low + 1,
            "bracket": _joined([prints.zone_bracket for prints in found]),
        }
    )


def _profiles(
    own: SessionBars, profiles: pd.DataFrame, sessions: pd.DatetimeIndex, instrument: Instrument
) -> Iterator[tuple[int, int, Ints, int]]:
    """Yield each session's number, lowest row, rows and VPOC row, checked against the table."""
    rule = own.rule
    vpocs = rule.row(instrument.to_ticks(profiles["vpoc"].to_numpy(np.float64)))
    lows, highs = (rule.row(instrument.to_ticks(profiles[name].to_numpy(np.float64))) for name in ("low", "high"))
    bottoms, tops = (own.close, own.close) if rule.allocation == "close" else (own.low, own.high)
    for k in range(len(sessions)):
        if rule.by_time:
            _, low, high = own.brackets(k)
            lowest, rows = tpo_rows(low, high, rule, _name(instrument, sessions, k))
        else:
            chosen = slice(own.starts[k], own.stops[k])
            lowest, rows = spread_rows(
                bottoms[chosen], tops[chosen], own.steps[chosen], ticks_per_row=rule.ticks_per_row
            )
        vpoc = int(vpocs[k])
        same = lowest == lows[k] and lowest + len(rows) - 1 == highs[k]
        if not (same and lowest <= vpoc <= highs[k] and rows[vpoc - lowest] == rows.max()):
            raise DataError(
                f"the profile of session {sessions[k].date()} is not that of its bars with allocation "
                f"{rule.allocation!r} and ticks_per_row {rule.ticks_per_row}; make the profiles from the same bars, "
                "hours and rows"
            )
        yield k, lowest, rows, vpoc


def _around(levels: Ints, close: int) -> tuple[float, float]:
    """The nearest level at or above the close and at or below it, NaN where there is none."""
    above, below = np.searchsorted(levels, close), np.searchsorted(levels, close, side="right") - 1
    return (
        float(levels[above]) if above < len(levels) else np.nan,
        float(levels[below]) if below >= 0 else np.nan,
    )


def _joined(parts: list[Ints]) -> Ints:
    return np.concatenate(parts) if parts else np.empty(0, np.int64)


def _name(instrument: Instrument, sessions: pd.DatetimeIndex, k: int) -> str:
    return f"session {sessions[k].date()} of {instrument.symbol}"


def _check_settings(hours: str, node_window: int | None = None, node_prominence_basis_points: int = 1000) -> None:
    check_hours(hours)
    check_node_settings(node_window, node_prominence_basis_points)
