"""Features of the volume profiles: location and migration of value, width, shape, nodes, naked VPOCs, auction.

The terms are those of :func:`pipeline.profiles.session_structure`. Distances are in average true ranges of the history.
Nothing compares prices of two contracts: moves across a roll are left out, a naked VPOC is given up there.
"""

from typing import cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.features.families.volume import relative_to_median
from pipeline.features.inputs import FeatureInputs
from pipeline.features.registry import feature
from pipeline.features.windows import trailing_sum
from pipeline.profiles.naked import naked_vpocs
from pipeline.strategy import StrategySettings

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
_SHAPE_LEAN = {"P": 1.0, "b": -1.0, "D": 0.0, "B": 0.0}


def _atr_known(settings: StrategySettings) -> int:
    return settings.atr_window + 1


def _series(inputs: FeatureInputs, values: Floats) -> pd.Series:
    return pd.Series(values, index=inputs.sessions)


def _ticks(inputs: FeatureInputs, level: str) -> Ints:
    return inputs.instrument.to_ticks(inputs.profiles[level])


def _in_atr(inputs: FeatureInputs, ticks: Floats) -> Floats:
    """A distance in ticks as a multiple of the average true range; missing where that is missing or 0."""
    distance = ticks * inputs.instrument.tick_size
    return np.divide(distance, inputs.atr, out=np.full(len(ticks), np.nan), where=inputs.atr > 0)


def _structure(inputs: FeatureInputs, column: str) -> pd.Series:
    return cast(pd.DataFrame, inputs.structure)[column]


def _coded(inputs: FeatureInputs, column: str, codes: dict[str, float]) -> pd.Series:
    return _series(inputs, _structure(inputs, column).map(codes).to_numpy(np.float64, na_value=np.nan))


def _number(inputs: FeatureInputs, column: str) -> Floats:
    return _structure(inputs, column).to_numpy(np.float64, na_value=np.nan)


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


@feature(
    family="profile",
    warmup=2,
    description="Share of the value area that lies in the one of the session before, 0 to 1; missing at a roll.",
    needs=("structure",),
)
def value_area_overlap(inputs: FeatureInputs) -> pd.Series:
    return _series(inputs, _number(inputs, "value_area_overlap"))


@feature(
    family="profile",
    warmup=2,
    description="Value area against the one before: −2 lower, −1 overlapping lower, 0 inside or outside, 1 "
    "overlapping higher, 2 higher; missing at a roll.",
    signed=True,
    needs=("structure",),
)
def value_area_relation(inputs: FeatureInputs) -> pd.Series:
    return _coded(inputs, "value_area_relation", _RELATION_RANK)


@feature(
    family="profile",
    warmup=2,
    description="Value area against the one before: −1 inside it, 1 outside it (holds it whole), 0 neither; missing "
    "at a roll.",
    needs=("structure",),
)
def value_area_nesting(inputs: FeatureInputs) -> pd.Series:
    return _coded(inputs, "value_area_relation", _RELATION_NESTING)


# Shape and nodes.


@feature(
    family="profile",
    warmup=1,
    description="1 for a P-shaped profile (short covering), −1 for a b (long liquidation), 0 for D and B.",
    signed=True,
    needs=("structure",),
)
def shape_lean(inputs: FeatureInputs) -> pd.Series:
    return _coded(inputs, "shape", _SHAPE_LEAN)


@feature(
    family="profile",
    warmup=1,
    description="1 for a profile of two distributions (B), 0 for any other.",
    needs=("structure",),
)
def double_distribution(inputs: FeatureInputs) -> pd.Series:
    return _series(inputs, (_structure(inputs, "shape") == "B").to_numpy(np.float64))


@feature(family="profile", warmup=1, description="High-volume nodes of the session's profile.", needs=("structure",))
def hvn_count(inputs: FeatureInputs) -> pd.Series:
    return _series(inputs, _number(inputs, "hvn_count"))


@feature(family="profile", warmup=1, description="Low-volume nodes of the session's profile.", needs=("structure",))
def lvn_count(inputs: FeatureInputs) -> pd.Series:
    return _series(inputs, _number(inputs, "lvn_count"))


def _to_node(inputs: FeatureInputs, column: str) -> pd.Series:
    levels = _number(inputs, column)
    known = ~np.isnan(levels)
    close = inputs.instrument.to_ticks(inputs.history["close"])
    away = np.abs(inputs.instrument.to_ticks(np.where(known, levels, 0.0)) - close)
    return _series(inputs, _in_atr(inputs, np.where(known, away, np.nan)))


@feature(
    family="profile",
    warmup=_atr_known,
    description="From the close up to the session's nearest high-volume node, average true ranges; missing where none "
    "is there.",
    mirror="hvn_below",
    needs=("structure",),
)
def hvn_above(inputs: FeatureInputs) -> pd.Series:
    return _to_node(inputs, "hvn_above")


@feature(
    family="profile",
    warmup=_atr_known,
    description="From the close down to the session's nearest high-volume node, average true ranges; missing where "
    "none is there.",
    mirror="hvn_above",
    needs=("structure",),
)
def hvn_below(inputs: FeatureInputs) -> pd.Series:
    return _to_node(inputs, "hvn_below")


@feature(
    family="profile",
    warmup=_atr_known,
    description="From the close up to the session's nearest low-volume node, average true ranges; missing where none "
    "is there.",
    mirror="lvn_below",
    needs=("structure",),
)
def lvn_above(inputs: FeatureInputs) -> pd.Series:
    return _to_node(inputs, "lvn_above")


@feature(
    family="profile",
    warmup=_atr_known,
    description="From the close down to the session's nearest low-volume node, average true ranges; missing where "
    "none is there.",
    mirror="lvn_above",
    needs=("structure",),
)
def lvn_below(inputs: FeatureInputs) -> pd.Series:
    return _to_node(inputs, "lvn_below")


# Naked VPOCs.


def _naked(inputs: FeatureInputs) -> dict[str, Floats]:
    return cast(dict[str, Floats], inputs.once("naked vpocs", lambda: _naked_nearest(inputs)))


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


@feature(
    family="profile",
    warmup=_NAKED_SESSIONS + 1,
    description=f"VPOCs of the last {_NAKED_SESSIONS} sessions, this one's left out, at which nobody has traded since, "
    "at the close; those of another contract are given up.",
)
def naked_count(inputs: FeatureInputs) -> pd.Series:
    return _series(inputs, _naked(inputs)["count"])


@feature(
    family="profile",
    warmup=_NAKED_SESSIONS + 1,
    description="From the close up to the nearest naked VPOC, average true ranges; missing where there is none. "
    "Starts over after a roll.",
    mirror="naked_below",
)
def naked_above(inputs: FeatureInputs) -> pd.Series:
    return _series(inputs, _in_atr(inputs, _naked(inputs)["above"]))


@feature(
    family="profile",
    warmup=_NAKED_SESSIONS + 1,
    description="From the close down to the nearest naked VPOC, average true ranges; missing where there is none. "
    "Starts over after a roll.",
    mirror="naked_above",
)
def naked_below(inputs: FeatureInputs) -> pd.Series:
    return _series(inputs, _in_atr(inputs, _naked(inputs)["below"]))


@feature(
    family="profile",
    warmup=_NAKED_SESSIONS + 1,
    description="Sessions since the nearest naked VPOC above was made; missing where there is none.",
    mirror="naked_below_age",
)
def naked_above_age(inputs: FeatureInputs) -> pd.Series:
    return _series(inputs, _naked(inputs)["above_age"])


@feature(
    family="profile",
    warmup=_NAKED_SESSIONS + 1,
    description="Sessions since the nearest naked VPOC below was made; missing where there is none.",
    mirror="naked_above_age",
)
def naked_below_age(inputs: FeatureInputs) -> pd.Series:
    return _series(inputs, _naked(inputs)["below_age"])


# The auction: initial balance, prints, tails, poor extremes.


@feature(
    family="profile",
    warmup=_atr_known,
    description="Range of the initial balance (first hour) in average true ranges; missing without a bar in it. "
    "Within a contract.",
    needs=("structure",),
)
def initial_balance_atr(inputs: FeatureInputs) -> pd.Series:
    return _series(inputs, _in_atr(inputs, _number(inputs, "ib_range_ticks")))


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
    warmup=_atr_known,
    description="How far the session went above its initial balance, average true ranges. Within a contract.",
    mirror="extension_down",
    needs=("structure",),
)
def extension_up(inputs: FeatureInputs) -> pd.Series:
    return _series(inputs, _in_atr(inputs, _number(inputs, "ib_extension_up_ticks")))


@feature(
    family="profile",
    warmup=_atr_known,
    description="How far the session went below its initial balance, average true ranges. Within a contract.",
    mirror="extension_up",
    needs=("structure",),
)
def extension_down(inputs: FeatureInputs) -> pd.Series:
    return _series(inputs, _in_atr(inputs, _number(inputs, "ib_extension_down_ticks")))


@feature(
    family="profile",
    warmup=1,
    description="Share of the session's ticks that one half-hour alone traded at, tails left out.",
    needs=("structure",),
)
def single_print_share(inputs: FeatureInputs) -> pd.Series:
    ticks = _ticks(inputs, "high") - _ticks(inputs, "low") + 1
    return _series(inputs, _number(inputs, "single_print_ticks") / ticks)


@feature(
    family="profile",
    warmup=_atr_known,
    description="Length of the tail at the high (single prints at the extreme), average true ranges. Within a "
    "contract.",
    mirror="buying_tail",
    needs=("structure",),
)
def selling_tail(inputs: FeatureInputs) -> pd.Series:
    return _series(inputs, _in_atr(inputs, _number(inputs, "selling_tail_ticks")))


@feature(
    family="profile",
    warmup=_atr_known,
    description="Length of the tail at the low (single prints at the extreme), average true ranges. Within a contract.",
    mirror="selling_tail",
    needs=("structure",),
)
def buying_tail(inputs: FeatureInputs) -> pd.Series:
    return _series(inputs, _in_atr(inputs, _number(inputs, "buying_tail_ticks")))


@feature(
    family="profile",
    warmup=1,
    description="1 where two half-hours or more met at the high, 0 elsewhere.",
    mirror="poor_low",
    needs=("structure",),
)
def poor_high(inputs: FeatureInputs) -> pd.Series:
    return _series(inputs, _number(inputs, "poor_high"))


@feature(
    family="profile",
    warmup=1,
    description="1 where two half-hours or more met at the low, 0 elsewhere.",
    mirror="poor_high",
    needs=("structure",),
)
def poor_low(inputs: FeatureInputs) -> pd.Series:
    return _series(inputs, _number(inputs, "poor_low"))
