"""Rolls: a step between two contracts that never happened must not show in any feature."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.audit.report import Finding
from pipeline.audit.tables import raw_table
from pipeline.features import Feature, FeatureInputs

__all__ = ["check_rolls"]

Floats = NDArray[np.float64]

_PRICES = ("open", "high", "low", "close")
# The fake step, in average true ranges: far beyond a feature's own moves.
_STEP = 8
# All prices are lifted by so many times themselves before, in both runs, so that the step doesn't matter to
# percentages: returns within a contract change by less than a thousandth, those across by the whole step.
_LIFT = 100
# How far a value may move, in the feature's standard deviations.
_LIMIT = 0.02
# Rows examined after a roll, and before the next one as what the contract itself does to a level.
_AFTER, _QUIET = 2, 5


@dataclass(frozen=True)
class _Roll:
    row: int
    stop: int


def check_rolls(inputs: FeatureInputs, features: Mapping[str, Feature]) -> tuple[list[Finding], str | None]:
    """Add a constant to every other contract's prices; beyond that constant in levels, features have to stay.

    What a feature does within a contract (nothing, or the step where it is a price) it has to do right after a roll
    too. Rounding lets percentages move a little, so a change counts from a fiftieth of the feature's standard
    deviation on, and where most rolls show it.

    Returns
    -------
    The findings, and why nothing could be judged (None where it could).
    """
    rows = np.flatnonzero(inputs.rolled)[1:]
    rolls = [
        _Roll(int(row), int(stop))
        for row, stop in zip(rows, np.append(rows, len(inputs.sessions))[1:], strict=True)
        if stop - row > _AFTER + _QUIET and row >= _QUIET
    ]
    if not rolls:
        return [], "the data holds no roll from one contract to another"
    atr = inputs.atr[~np.isnan(inputs.atr)]
    if not len(atr):
        return [], "the data is too short for an average true range, by which the fake step is measured"
    instrument, bars = inputs.instrument, inputs.bars
    ticks = {name: instrument.to_ticks(bars[name].to_numpy(np.float64)) for name in _PRICES}
    lift = _LIFT * int(np.abs(ticks["close"]).max())
    step = max(int(_STEP * np.median(atr) / instrument.tick_size), 8)
    shifted = pd.factorize(bars["contract"])[0] % 2 * step
    base, moved = (
        raw_table(_with_prices(inputs, {name: values + lift + extra for name, values in ticks.items()}), features)
        for extra in (0, shifted)
    )
    findings = []
    for name in features:
        if name not in base.frame or name not in moved.frame:
            continue
        before, after = base.column(name), moved.column(name)
        jumps = [_jump(before, after, roll) for roll in rolls]
        seen = [jump for jump in jumps if jump is not None]
        if seen and np.median([size for size, _ in seen]) > _LIMIT:
            row = next(row for size, row in seen if size > _LIMIT)
            findings.append(
                Finding(
                    "rolls",
                    name,
                    str(inputs.sessions[row].date()),
                    float(before[row]),
                    float(after[row]),
                    f"a fake step of {step} ticks between two contracts moves it: a change, range or window spans the "
                    "roll; use history.log_return and vpoc_move, or pipeline.features.chain_contracts",
                )
            )
    return findings, None


def _jump(before: Floats, after: Floats, roll: _Roll) -> tuple[float, int] | None:
    """Measure how far a value moves right after a roll, in deviations, and in which row.

    Neither as it moved before (a level that doesn't know of the roll yet, an estimate that is another throughout) nor
    as it does later in the contract (its own level).
    """
    spread = float(np.nanstd(before)) if not np.isnan(before).all() else np.nan
    if not spread > 0:
        return None
    change = after - before
    earlier, later = (_usual(change[stop - _QUIET : stop]) for stop in (roll.row, roll.stop))
    first = change[roll.row : roll.row + _AFTER]
    moves = np.minimum(np.abs(first - earlier), np.abs(first - later)) / spread
    if np.isnan(moves).all():
        return None
    worst = int(np.nanargmax(moves))
    return float(moves[worst]), roll.row + worst


def _usual(changes: Floats) -> float:
    return float(np.nanmedian(changes)) if not np.isnan(changes).all() else 0.0


def _with_prices(inputs: FeatureInputs, ticks: Mapping[str, NDArray[np.int64]]) -> FeatureInputs:
    prices: dict[str, Any] = {name: inputs.instrument.to_prices(values) for name, values in ticks.items()}
    return FeatureInputs.from_bars(
        inputs.bars.assign(**prices),
        inputs.instrument,
        inputs.settings,
        external=inputs.external,
        structure=inputs.structure is not None,
        naked=inputs.naked is not None,
    )
