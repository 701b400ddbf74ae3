"""The last sessions, weeks and half hours step by step: what models that read sequences learn from.

One row per candidate, a column per timeframe, lag, channel: ``session_00_vpoc_move`` is the VPOC's move in the session
``decided_on``, ``session_01_vpoc_move`` that of the session before. Each step knows its own past only and is worked out
from a fixed number of sessions, so a row is the same to the bit whatever comes later and wherever the data starts;
what a longer history could change is missing instead.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.errors import ConfigurationError, DataError
from pipeline.features.anchors import chain_contracts
from pipeline.features.inputs import FeatureInputs
from pipeline.features.windows import trailing_mean
from pipeline.profiles.relations import session_relations

__all__ = ["BAR_MINUTES", "SequenceChannel", "Timeframe", "sequence_features", "sequence_timeframes"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

BAR_MINUTES = 30
"""Length of the bars within a session."""

# The regular hours of a stock index have thirteen half hours. Elsewhere, and around the clock, they are the last ones,
# so that the columns of all markets are the same.
_BARS = 13
_BAR_SESSIONS = 2
_VOLUME_SESSIONS = 20
_MOST_STEPS = 99
_WEEK_SESSIONS = 7
_DAY = 24 * 3600 * 10**9
# Days since 1970 begin with a Thursday, weeks with a Monday.
_MONDAY = 3

_RELATION_RANK = {
    "lower": -2.0,
    "overlapping_lower": -1.0,
    "inside": 0.0,
    "outside": 0.0,
    "overlapping_higher": 1.0,
    "higher": 2.0,
}


@dataclass(frozen=True)
class SequenceChannel:
    """One number a step.

    Attributes
    ----------
    name
        The last part of the column's name.
    description
        What, its unit, and what happens at a roll.
    signed
        Whether its sign is a direction of the market: it is multiplied by the candidate's side.
    mirror
        The channel of the market whose value a short takes in its place; itself where there is none.
    """

    name: str
    description: str
    signed: bool = False
    mirror: str = ""


@dataclass(frozen=True)
class Timeframe:
    """Steps of one length.

    Attributes
    ----------
    name
        The first part of the columns' names.
    steps
        How many; step 0 is the newest.
    channels
        What each step tells.
    """

    name: str
    steps: int
    channels: tuple[SequenceChannel, ...]

    @property
    def columns(self) -> list[str]:
        """Names of its columns: step by step from the newest, the channels in their order."""
        return [f"{self.name}_{lag:02d}_{one.name}" for lag in range(self.steps) for one in self.channels]


_IN_ATR = "average true ranges"
# What a long's entry edge is at VAL is a short's at VAH.
_EDGES = (
    SequenceChannel(
        "close_to_entry", f"From the edge of entry (VAL for a long) to the close, {_IN_ATR}.", mirror="vah"
    ),
    SequenceChannel("close_to_target", f"From the close to the edge of the target, {_IN_ATR}.", mirror="val"),
)

_SESSION = (
    SequenceChannel("move", f"Close less the close before, {_IN_ATR}; missing at a roll.", signed=True),
    SequenceChannel("gap", f"Open less the close before, {_IN_ATR}; missing at a roll.", signed=True),
    SequenceChannel("range", f"High less low, {_IN_ATR}."),
    SequenceChannel("close_in_range", "Middle of the close's tick in the range, −0.5 to 0.5.", signed=True),
    SequenceChannel("vpoc_move", f"VPOC less the one before, {_IN_ATR}; missing at a roll.", signed=True),
    SequenceChannel("close_to_vpoc", f"Close less VPOC, {_IN_ATR}.", signed=True),
    *_EDGES,
    SequenceChannel("value_width", f"Ticks of the value area as a length, {_IN_ATR}."),
    SequenceChannel(
        "value_skew", "VAH less VPOC less (VPOC less VAL), as a share of the value area: −1 to 1.", signed=True
    ),
    SequenceChannel("value_overlap", "Share of the value area inside the one before; missing at a roll."),
    SequenceChannel(
        "value_relation",
        "Value area against the one before: −2 lower, −1 overlapping lower, 0 inside or outside, 1 overlapping higher, "
        "2 higher; missing at a roll.",
        signed=True,
    ),
    SequenceChannel(
        "volume", f"Volume over the mean of the {_VOLUME_SESSIONS} sessions before, each of its own contract."
    ),
)

_WEEK = (
    SequenceChannel("move", f"Close less the close of the week before, {_IN_ATR}; contracts end to end.", signed=True),
    SequenceChannel("range", f"High less low, {_IN_ATR}; contracts end to end."),
    SequenceChannel("close_in_range", "Middle of the close's tick in the week's range, −0.5 to 0.5.", signed=True),
    SequenceChannel(
        "vpoc_move", f"Last VPOC less the last of the week before, {_IN_ATR}; contracts end to end.", signed=True
    ),
    SequenceChannel(
        "close_to_value", f"Close less the mean VPOC by volume, {_IN_ATR}; contracts end to end.", signed=True
    ),
    SequenceChannel("value_width", f"Mean ticks of the sessions' value areas as a length, {_IN_ATR}."),
    SequenceChannel("volume", f"Mean volume of a session over the mean of the {_VOLUME_SESSIONS} before the week."),
    SequenceChannel("sessions", "Sessions the week has had by then."),
)

_BAR = (
    SequenceChannel(
        "move", f"Close less the close before in its session, of the first less its open, {_IN_ATR}.", signed=True
    ),
    SequenceChannel("range", f"High less low, {_IN_ATR}."),
    SequenceChannel("volume", "Share of the session's volume."),
    SequenceChannel("close_to_vpoc", f"Close less the session's VPOC, {_IN_ATR}.", signed=True),
    *_EDGES,
)


def sequence_timeframes(sessions: int = 20, weeks: int = 8) -> tuple[Timeframe, ...]:
    """The timeframes, their steps and channels.

    Parameters
    ----------
    sessions, weeks
        Steps of these; 1 to 99.

    Returns
    -------
    tuple of Timeframe
        ``session``; ``week``, Monday to Sunday, the running one up to the decision first; ``bar30``, half hours
        counted back from the close of ``decided_on``'s hours, 00 to 12, and of the session before, 13 to 25.

    Raises
    ------
    ConfigurationError
        For another number of steps.
    """
    for name, steps in (("sessions", sessions), ("weeks", weeks)):
        if isinstance(steps, bool) or not isinstance(steps, int | np.integer) or not 1 <= steps <= _MOST_STEPS:
            raise ConfigurationError(f"sequences of {steps!r} {name} were asked for; give 1 to {_MOST_STEPS}")
    return (
        Timeframe("session", int(sessions), _SESSION),
        Timeframe("week", int(weeks), _WEEK),
        Timeframe(f"bar{BAR_MINUTES}", _BARS * _BAR_SESSIONS, _BAR),
    )


def sequence_features(
    inputs: FeatureInputs, candidates: pd.DataFrame, *, sessions: int = 20, weeks: int = 8
) -> pd.DataFrame:
    """The sequences each candidate's decision could see, turned to its side.

    What has a direction is multiplied by the side, and distances to the edges of the value area are measured from the
    candidate's own: a long in a market and the short in that market upside down have the same row.

    Parameters
    ----------
    inputs
        Bars, profiles and history; structure, naked VPOCs and external series are ignored.
    candidates
        From :func:`pipeline.strategy.make_candidates`: ``decided_on`` and ``side`` count.
    sessions, weeks
        Steps of these timeframes.

    Returns
    -------
    DataFrame
        One row per candidate, in their index, float64; columns as :func:`sequence_timeframes` lists them. NaN where
        missing: steps before history begins, half hours without a bar, comparisons of two contracts, and values of the
        first sessions that would be others if the data began earlier.

    Raises
    ------
    DataError
        For a candidate of a session that the inputs don't hold, or of no side.
    ConfigurationError
        For an impossible number of steps.
    """
    frames = sequence_timeframes(sessions, weeks)
    row, side = _decisions(inputs, candidates)
    half_hours = np.arange(_BARS * _BAR_SESSIONS)
    made = (
        (_session_values(inputs), row[:, None] - np.arange(frames[0].steps), np.zeros(frames[0].steps, np.int64)),
        (_week_values(inputs), _week_places(inputs, row, frames[1].steps), np.zeros(frames[1].steps, np.int64)),
        (_bar_values(inputs), row[:, None] - half_hours // _BARS, half_hours % _BARS),
    )
    columns: dict[str, Floats] = {}
    for frame, (values, places, slots) in zip(frames, made, strict=True):
        turned = [_turned(values, one, places, slots, side) for one in frame.channels]
        stacked = np.stack(turned, axis=-1).reshape(len(row), len(frame.columns))
        columns.update(zip(frame.columns, stacked.T, strict=True))
    return pd.DataFrame(columns, index=candidates.index, columns=pd.Index(columns, dtype="str"), dtype=np.float64)


def _decisions(inputs: FeatureInputs, candidates: pd.DataFrame) -> tuple[Ints, Floats]:
    """Row of the history and side of each candidate."""
    if absent := [name for name in ("decided_on", "side") if name not in candidates.columns]:
        raise DataError(f"the candidates have no column {absent[0]}; make them with make_candidates")
    row = inputs.sessions.get_indexer(pd.DatetimeIndex(candidates["decided_on"]).as_unit("ns")).astype(np.int64)
    if (row < 0).any():
        stray = pd.Timestamp(candidates["decided_on"].to_numpy()[int(np.argmax(row < 0))])
        raise DataError(
            f"a candidate was decided on {stray.date()}, which the inputs don't hold; make both from the same bars"
        )
    side = candidates["side"].to_numpy(np.float64, na_value=np.nan)
    if (np.abs(side) != 1).any():
        raise DataError(f"a candidate has the side {side[np.abs(side) != 1][0]:g}; it must be 1 (long) or -1 (short)")
    return row, side


def _turned(values: Mapping[str, Floats], channel: SequenceChannel, places: Ints, slots: Ints, side: Floats) -> Floats:
    """One channel, shape (candidates, steps)."""
    own = _at(values[channel.name], places, slots)
    if channel.mirror:
        own = np.where(side[:, None] > 0, own, _at(values[f"{channel.name}_{channel.mirror}"], places, slots))
    # A zero has no side either.
    return own * side[:, None] + 0.0 if channel.signed else own


def _at(values: Floats, places: Ints, slots: Ints) -> Floats:
    """Values of sessions, shape (sessions,) or (sessions, slots), at places, NaN where the place is negative."""
    table = values.reshape(len(values), -1)
    found: Floats = np.where(places >= 0, table[np.maximum(places, 0), slots[None, :]], np.nan)
    return found


# What every timeframe is measured by.


def _ticks(inputs: FeatureInputs, name: str) -> Ints:
    return inputs.instrument.to_ticks(inputs.history[name].to_numpy(np.float64))


def _in_atr(inputs: FeatureInputs, ticks: Ints | Floats, row: Ints | None = None) -> Floats:
    """A distance in ticks as a multiple of its session's average true range; missing before that is settled.

    The first true range of the data has no close before it, and would have one in a longer history.
    """
    atr = inputs.atr.copy()
    atr[: inputs.settings.atr_window] = np.nan
    if row is not None:
        atr = atr[row]
    distance = np.asarray(ticks, np.float64) * inputs.instrument.tick_size
    return np.divide(distance, atr, out=np.full(len(atr), np.nan), where=atr > 0)


def _since_before(inputs: FeatureInputs, values: Ints, before: Ints) -> Floats:
    """Each value less another of the session before, in ticks; missing at a roll and in the first row."""
    change = np.full(len(values), np.nan)
    change[1:] = values[1:] - before[:-1]
    change[inputs.rolled] = np.nan
    return change


def _in_range(close: Ints, low: Ints, high: Ints) -> Floats:
    return (2 * close - low - high) / (2 * (high - low + 1))


def _usual_volume(inputs: FeatureInputs) -> Floats:
    """Mean volume of the sessions up to and with each one; missing before there are enough."""
    mean = trailing_mean(inputs.history["volume"].to_numpy(np.float64), _VOLUME_SESSIONS)
    mean[: _VOLUME_SESSIONS - 1] = np.nan
    return mean


def _before(values: Floats) -> Floats:
    return np.append(np.nan, values)[: len(values)]


# The timeframes.


def _session_values(inputs: FeatureInputs) -> dict[str, Floats]:
    """Channels of each session, each of shape (sessions,), as a long sees them; ``_val`` and ``_vah`` as a short."""
    close, low, high, vpoc, val, vah = (_ticks(inputs, name) for name in ("close", "low", "high", "vpoc", "val", "vah"))
    relations = session_relations(inputs.profiles, inputs.instrument)
    width = vah - val + 1
    from_val, to_vah = (_in_atr(inputs, each) for each in (close - val, vah - close))
    return {
        "move": _in_atr(inputs, _since_before(inputs, close, close)),
        "gap": _in_atr(inputs, _since_before(inputs, _ticks(inputs, "open"), close)),
        "range": _in_atr(inputs, high - low),
        "close_in_range": _in_range(close, low, high),
        "vpoc_move": _in_atr(inputs, _since_before(inputs, vpoc, vpoc)),
        "close_to_vpoc": _in_atr(inputs, close - vpoc),
        "close_to_entry": from_val,
        "close_to_entry_vah": to_vah,
        "close_to_target": to_vah,
        "close_to_target_val": from_val,
        "value_width": _in_atr(inputs, width),
        "value_skew": (vah + val - 2 * vpoc) / width,
        "value_overlap": relations["value_area_overlap"].to_numpy(np.float64),
        "value_relation": relations["value_area_relation"].map(_RELATION_RANK).to_numpy(np.float64, na_value=np.nan),
        "volume": inputs.history["volume"].to_numpy(np.float64) / _before(_usual_volume(inputs)),
    }


def _week_numbers(inputs: FeatureInputs) -> Ints:
    numbers: Ints = (inputs.sessions.asi8 // _DAY + _MONDAY) // 7
    return numbers


def _week_places(inputs: FeatureInputs, row: Ints, steps: int) -> Ints:
    """Return the row of each week's values: the running week's at the decision, the others' at their last session."""
    numbers = _week_numbers(inputs)
    wanted = numbers[row][:, None] - np.arange(steps)
    last = np.searchsorted(numbers, wanted, side="right") - 1
    # A week without a session is not a step.
    last[(last < 0) | (numbers[np.maximum(last, 0)] != wanted)] = -1
    last[:, 0] = row
    return last


def _week_values(inputs: FeatureInputs) -> dict[str, Floats]:
    """Channels of the running week at each session's close, each of shape (sessions,).

    Of the first week in the data the beginning may be missing, so none of it is known.
    """
    numbers = _week_numbers(inputs)
    place = np.arange(len(numbers))
    first = np.searchsorted(numbers, numbers)
    # Only differences within days are taken, so it doesn't matter where the chain begins.
    chained = chain_contracts(inputs.history, inputs.instrument)
    shift = inputs.instrument.to_ticks(chained["close"].to_numpy(np.float64)) - _ticks(inputs, "close")
    close, low, high, vpoc = (_ticks(inputs, name) + shift for name in ("close", "low", "high", "vpoc"))
    width = _ticks(inputs, "vah") - _ticks(inputs, "val") + 1
    volume = inputs.history["volume"].to_numpy(np.float64)

    top, bottom, widths = high.copy(), low.copy(), np.zeros(len(place), np.int64)
    traded, moment = np.zeros(len(place)), np.zeros(len(place))
    for back in range(_WEEK_SESSIONS):
        then = np.maximum(place - back, 0)
        held = place - back >= first
        top = np.where(held, np.maximum(top, high[then]), top)
        bottom = np.where(held, np.minimum(bottom, low[then]), bottom)
        widths += np.where(held, width[then], 0)
        traded += np.where(held, volume[then], 0.0)
        moment += np.where(held, volume[then] * (close - vpoc[then]), 0.0)
    count = place - first + 1
    last_week = np.maximum(first - 1, 0)
    values = {
        "move": _in_atr(inputs, close - close[last_week]),
        "range": _in_atr(inputs, top - bottom),
        "close_in_range": _in_range(close, bottom, top),
        "vpoc_move": _in_atr(inputs, vpoc - vpoc[last_week]),
        "close_to_value": _in_atr(inputs, moment / traded),
        "value_width": _in_atr(inputs, widths / count),
        "volume": traded / count / _before(_usual_volume(inputs))[first],
        "sessions": count.astype(np.float64),
    }
    return {name: np.where(first > 0, each, np.nan) for name, each in values.items()}


def _bar_values(inputs: FeatureInputs) -> dict[str, Floats]:
    """Channels of each session's last half hours, each of shape (sessions, 13), the newest first."""
    frames = inputs.frames(BAR_MINUTES)
    length = BAR_MINUTES * 60 * 10**9
    row = frames["row"].to_numpy(np.int64)
    starts = pd.DatetimeIndex(frames["timestamp"]).as_unit("ns").asi8
    slot = (inputs.closes.asi8[row] - starts - length) // length
    close, opened, low, high = (
        inputs.instrument.to_ticks(frames[name].to_numpy(np.float64)) for name in ("close", "open", "low", "high")
    )
    begins = np.diff(row, prepend=-1) != 0
    reference = np.where(begins, opened, np.append(0, close)[: len(close)])
    vpoc, val, vah = (_ticks(inputs, name)[row] for name in ("vpoc", "val", "vah"))
    from_val, to_vah = (_in_atr(inputs, each, row) for each in (close - val, vah - close))
    values = {
        "move": _in_atr(inputs, close - reference, row),
        "range": _in_atr(inputs, high - low, row),
        "volume": frames["volume"].to_numpy(np.float64) / inputs.history["volume"].to_numpy(np.float64)[row],
        "close_to_vpoc": _in_atr(inputs, close - vpoc, row),
        "close_to_entry": from_val,
        "close_to_entry_vah": to_vah,
        "close_to_target": to_vah,
        "close_to_target_val": from_val,
    }
    kept = slot < _BARS
    table = {name: np.full((len(inputs.sessions), _BARS), np.nan) for name in values}
    for name, each in values.items():
        table[name][row[kept], slot[kept]] = each[kept]
    return table
