"""Features of the volume profiles: location and migration of value, width, shape, nodes, naked VPOCs, auction.

The terms are those of :func:`pipeline.profiles.session_structure`. Distances are in average true ranges of the history.
Nothing compares prices of two contracts: moves across a roll are left out, a naked VPOC is given up there.
"""

from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.features.families.volume import relative_to_median
from pipeline.features.inputs import FeatureInputs
from pipeline.features.registry import Warmup, feature
from pipeline.features.windows import trailing_sum
from pipeline.profiles.naked import naked_vpocs
from pipeline.strategy import HistorySettings

__all__: list[str] = []  # the registry finds them

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SPANS = (5, 10, 20, 50)

_WIDTH_SESSIONS = 20
_LONGEST_RUN = 20
# A VPOC older than that is no longer looked for: without rolls one can stay naked for years, and a value's memory has
# to end somewhere.
_NAKED_SESSIONS = 100

# The value area against the one before, from wholly below to wholly above.
_RELATION_RANK = {
    "lower": -2.0,
    "overlapping_lower": -1.0,
    "inside": 0.0,
    "outside": 0.0,
    "overlapping_higher": 1.0,
    "higher": 2.0,
}
_RELATION_NESTING = {
    "lower": 0.0,
    "overlapping_lower": 0.0,
    "inside": -1.0,
    "outside": 1.0,
    "overlapping_higher": 0.0,
    "higher": 0.0,
}


def _atr_known(settings: HistorySettings) -> int:
    return settings.atr_window + 1


def _series(inputs: FeatureInputs, values: Floats) -> pd.Series:
    return pd.Series(values, index=inputs.sessions)


def _ticks(inputs: FeatureInputs, level: str) -> Ints:
    return inputs.instrument.to_ticks(inputs.profiles[level])


def _in_atr(inputs: FeatureInputs, ticks: Floats) -> Floats:
    """A distance in ticks as a multiple of the average true range; missing where that is missing or 0."""
    distance = ticks * inputs.instrument.tick_size
    return np.divide(distance, inputs.atr, out=np.full(len(ticks), np.nan), where=inputs.atr > 0)


def _number(inputs: FeatureInputs, column: str) -> Floats:
    return cast(pd.DataFrame, inputs.structure)[column].to_numpy(np.float64, na_value=np.nan)


# Where value goes.


@feature(
    family="profile",
    warmup=lambda sessions, settings: max(sessions, settings.atr_window) + 1,
    description="Sum of the VPOC's last {sessions} moves in average true ranges; the move across a roll is left out.",
    over={"sessions": SPANS},
    signed=True,
)
def vpoc_migration(inputs: FeatureInputs, sessions: int) -> pd.Series:
    moves = inputs.history["vpoc_move"].to_numpy(np.float64)
    return _series(inputs, _in_atr(inputs, trailing_sum(moves, sessions)))


@feature(
    family="profile",
    warmup=_LONGEST_RUN + 1,
    description=f"Sessions in a row, up to {_LONGEST_RUN}, in which the VPOC moved as it did last, with the sign of "
    "the move; 0 where it did not move, missing at a roll, where a run starts over.",
    signed=True,
)
def vpoc_run(inputs: FeatureInputs) -> pd.Series:
    signs = np.sign(inputs.history["vpoc_move"].to_numpy(np.float64))
    run = np.ones(len(signs))
    going = np.ones(len(signs), np.bool_)
    for back in range(1, _LONGEST_RUN):
        going[:back] = False
        going[back:] &= signs[back:] == signs[:-back]
        run += going
    return _series(inputs, signs * run)


@feature(
    family="profile",
    warmup=1,
    description="Middle of the VPOC's tick in the session's range, −0.5 at the low to 0.5 at the high.",
    signed=True,
)
def vpoc_position(inputs: FeatureInputs) -> pd.Series:
    low, high, vpoc = (_ticks(inputs, name) for name in ("low", "high", "vpoc"))
    return _series(inputs, (2 * vpoc - low - high) / (2 * (high - low + 1)))


# The value area.


def _width(inputs: FeatureInputs) -> Floats:
    return (_ticks(inputs, "vah") - _ticks(inputs, "val") + 1).astype(np.float64)


@feature(
    family="profile",
    warmup=1,
    description="Ticks from VAL to VAH, both counted; of one session, hence of one contract.",
)
def value_area_width_ticks(inputs: FeatureInputs) -> pd.Series:
    return _series(inputs, _width(inputs))


@feature(
    family="profile",
    warmup=_atr_known,
    description="Width of the value area in average true ranges; within a contract.",
)
def value_area_width_atr(inputs: FeatureInputs) -> pd.Series:
    return _series(inputs, _in_atr(inputs, _width(inputs)))


@feature(
    family="profile",
    warmup=_WIDTH_SESSIONS + 1,
    description=f"Width of the value area as a multiple of its median in the {_WIDTH_SESSIONS} sessions before; "
    "widths, unlike prices, are compared across a roll.",
)
def relative_value_area_width(inputs: FeatureInputs) -> pd.Series:
    return _series(inputs, relative_to_median(_width(inputs), _WIDTH_SESSIONS))


@feature(
    family="profile",
    warmup=1,
    description="VAH less VPOC less (VPOC less VAL), as a share of the value area's width: −1 with the VPOC at its "
    "top, 1 at its bottom. Within a contract.",
    signed=True,
)
def value_area_skew(inputs: FeatureInputs) -> pd.Series:
    return _series(
        inputs, (_ticks(inputs, "vah") + _ticks(inputs, "val") - 2 * _ticks(inputs, "vpoc")) / _width(inputs)
    )


# Naked VPOCs.


def _naked(inputs: FeatureInputs, column: str) -> Floats:
    return cast(Floats, inputs.once("naked vpocs", lambda: _naked_nearest(inputs))[column])


def _naked_nearest(inputs: FeatureInputs) -> dict[str, Floats]:
    """Count, distance (ticks) and age of the naked VPOCs of the last sessions at each close.

    :func:`pipeline.profiles.naked_at_close` looks back without end and forward to the end of the trade date. Here a
    VPOC counts for so many sessions, and what tests it after the hours' close is known the session after only.
    """
    count = len(inputs.sessions)
    table = naked_vpocs(
        inputs.profiles,
        inputs.bars,
        inputs.instrument,
        hours=inputs.settings.hours,
        **inputs.settings.row_rule(inputs.instrument).options,
    )
    tested = pd.DatetimeIndex(table["tested_at"]).as_unit("ns")
    until = np.where(tested.isna(), np.iinfo(np.int64).max, tested.asi8)
    vpoc = inputs.instrument.to_ticks(table["vpoc"])
    close = inputs.instrument.to_ticks(inputs.history["close"])
    closes = inputs.closes.asi8
    # A run of sessions of one contract.
    run = np.cumsum(inputs.rolled)
    found = {name: np.full(count, np.nan) for name in ("above", "below", "above_age", "below_age")}
    naked_count = np.zeros(count)
    # From the youngest on: of two at one price it is the one that stays.
    for age in range(1, min(_NAKED_SESSIONS, count - 1) + 1):
        now, then = slice(age, None), slice(None, -age)
        naked = (run[now] == run[then]) & (until[then] >= closes[now])
        naked_count[now] += naked
        above = vpoc[then] - close[now]
        for side, distance in (("above", above), ("below", -above)):
            nearer = naked & (distance >= 0) & ~(found[side][now] <= distance)
            found[side][now][nearer] = distance[nearer]
            found[f"{side}_age"][now][nearer] = age
    return {**found, "count": naked_count}


# The auction.


@feature(
    family="profile",
    warmup=_WIDTH_SESSIONS + 1,
    description=f"Range of the initial balance as a multiple of its median in the {_WIDTH_SESSIONS} sessions before; "
    "ranges, unlike prices, are compared across a roll.",
    needs=("structure",),
)
def relative_initial_balance(inputs: FeatureInputs) -> pd.Series:
    return _series(inputs, relative_to_median(_number(inputs, "ib_range_ticks"), _WIDTH_SESSIONS))


@feature(
    family="profile",
    warmup=1,
    description="Share of the session's ticks that one half-hour alone traded at, tails left out.",
    needs=("structure",),
)
def single_print_share(inputs: FeatureInputs) -> pd.Series:
    ticks = _ticks(inputs, "high") - _ticks(inputs, "low") + 1
    return _series(inputs, _number(inputs, "single_print_ticks") / ticks)


# Columns of the structure and of the naked VPOCs as they are, in another unit, or as codes: a row a feature.


_Unit = Callable[[FeatureInputs, Floats], Floats]


def _raw(_: FeatureInputs, values: Floats) -> Floats:
    return values


def _from_close(inputs: FeatureInputs, levels: Floats) -> Floats:
    """How far prices lie from the close, either way, in average true ranges."""
    known = ~np.isnan(levels)
    close = inputs.instrument.to_ticks(inputs.history["close"])
    away = np.abs(inputs.instrument.to_ticks(np.where(known, levels, 0.0)) - close)
    return _in_atr(inputs, np.where(known, away, np.nan))


def _in_unit(unit: _Unit, values: Callable[[FeatureInputs, str], Floats], column: str) -> Callable[..., Floats]:
    return lambda inputs: unit(inputs, values(inputs, column))


def _coded(column: str, codes: Mapping[str, float]) -> Callable[[FeatureInputs], Floats]:
    def code(inputs: FeatureInputs) -> Floats:
        return cast(pd.DataFrame, inputs.structure)[column].map(codes).to_numpy(np.float64, na_value=np.nan)

    return code


def _register(name: str, compute: Callable[[FeatureInputs], Floats], **more: Any) -> None:
    def column(inputs: FeatureInputs) -> pd.Series:
        return _series(inputs, compute(inputs))

    column.__name__ = column.__qualname__ = name
    feature(family="profile", **more)(column)


# Name, column of the structure, unit, warm-up, mirror, description.
_STRUCTURE: tuple[tuple[str, str, _Unit, Warmup, str | None, str], ...] = (
    ("value_area_overlap", "value_area_overlap", _raw, 2, None,
     "Share of the value area that lies in the one of the session before, 0 to 1; missing at a roll."),
    ("hvn_count", "hvn_count", _raw, 1, None, "High-volume nodes of the session's profile."),
    ("lvn_count", "lvn_count", _raw, 1, None, "Low-volume nodes of the session's profile."),
    ("hvn_above", "hvn_above", _from_close, _atr_known, "hvn_below",
     "From the close up to the session's nearest high-volume node, average true ranges; missing where none is there."),
    ("hvn_below", "hvn_below", _from_close, _atr_known, "hvn_above",
     "From the close down to the session's nearest high-volume node, average true ranges; missing where none is "
     "there."),
    ("lvn_above", "lvn_above", _from_close, _atr_known, "lvn_below",
     "From the close up to the session's nearest low-volume node, average true ranges; missing where none is there."),
    ("lvn_below", "lvn_below", _from_close, _atr_known, "lvn_above",
     "From the close down to the session's nearest low-volume node, average true ranges; missing where none is there."),
    ("initial_balance_atr", "ib_range_ticks", _in_atr, _atr_known, None,
     "Range of the initial balance (first hour) in average true ranges; missing without a bar in it. Within a "
     "contract."),
    ("extension_up", "ib_extension_up_ticks", _in_atr, _atr_known, "extension_down",
     "How far the session went above its initial balance, average true ranges. Within a contract."),
    ("extension_down", "ib_extension_down_ticks", _in_atr, _atr_known, "extension_up",
     "How far the session went below its initial balance, average true ranges. Within a contract."),
    ("selling_tail", "selling_tail_ticks", _in_atr, _atr_known, "buying_tail",
     "Length of the tail at the high (single prints at the extreme), average true ranges. Within a contract."),
    ("buying_tail", "buying_tail_ticks", _in_atr, _atr_known, "selling_tail",
     "Length of the tail at the low (single prints at the extreme), average true ranges. Within a contract."),
    ("poor_high", "poor_high", _raw, 1, "poor_low", "1 where two half-hours or more met at the high, 0 elsewhere."),
    ("poor_low", "poor_low", _raw, 1, "poor_high", "1 where two half-hours or more met at the low, 0 elsewhere."),
)  # fmt: skip
for _name, _column, _unit, _warmup, _mirror, _description in _STRUCTURE:
    _register(
        _name,
        _in_unit(_unit, _number, _column),
        warmup=_warmup,
        mirror=_mirror,
        description=_description,
        needs=("structure",),
    )

# Name, column of words, their numbers, warm-up, whether the sign is a direction, description.
_WORDS: tuple[tuple[str, str, Mapping[str, float], int, bool, str], ...] = (
    ("value_area_relation", "value_area_relation", _RELATION_RANK, 2, True,
     "Value area against the one before: −2 lower, −1 overlapping lower, 0 inside or outside, 1 overlapping higher, 2 "
     "higher; missing at a roll."),
    ("value_area_nesting", "value_area_relation", _RELATION_NESTING, 2, False,
     "Value area against the one before: −1 inside it, 1 outside it (holds it whole), 0 neither; missing at a roll."),
    ("shape_lean", "shape", {"P": 1.0, "b": -1.0, "D": 0.0, "B": 0.0}, 1, True,
     "1 for a P-shaped profile (short covering), −1 for a b (long liquidation), 0 for D and B."),
    ("double_distribution", "shape", {"P": 0.0, "b": 0.0, "D": 0.0, "B": 1.0}, 1, False,
     "1 for a profile of two distributions (B), 0 for any other."),
)  # fmt: skip
for _name, _column, _codes, _warmup, _signed, _description in _WORDS:
    _register(
        _name,
        _coded(_column, _codes),
        warmup=_warmup,
        signed=_signed,
        description=_description,
        needs=("structure",),
    )

# Name, what of the naked VPOCs, unit, mirror, description.
_NAKED: tuple[tuple[str, str, _Unit, str | None, str], ...] = (
    ("naked_count", "count", _raw, None,
     f"VPOCs of the last {_NAKED_SESSIONS} sessions, this one's left out, at which nobody has traded since, at the "
     "close; those of another contract are given up."),
    ("naked_above", "above", _in_atr, "naked_below",
     "From the close up to the nearest naked VPOC, average true ranges; missing where there is none. Starts over after "
     "a roll."),
    ("naked_below", "below", _in_atr, "naked_above",
     "From the close down to the nearest naked VPOC, average true ranges; missing where there is none. Starts over "
     "after a roll."),
    ("naked_above_age", "above_age", _raw, "naked_below_age",
     "Sessions since the nearest naked VPOC above was made; missing where there is none."),
    ("naked_below_age", "below_age", _raw, "naked_above_age",
     "Sessions since the nearest naked VPOC below was made; missing where there is none."),
)  # fmt: skip
for _name, _column, _unit, _mirror, _description in _NAKED:
    _register(
        _name,
        _in_unit(_unit, _naked, _column),
        warmup=_NAKED_SESSIONS + 1,
        mirror=_mirror,
        description=_description,
    )
