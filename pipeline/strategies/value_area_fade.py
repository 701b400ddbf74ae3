"""Value-area fade: buy at yesterday's VAL, sell at yesterday's VAH, out at the other end (contract §5)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field, model_validator

from pipeline.frozen_settings import FrozenSettings
from pipeline.search_space import Choice, Real, SearchSpace, Whole
from pipeline.strategy.gates import direction_probability, is_calm, runs_p_value, trend, window_deviation
from pipeline.strategy.pass_rates import rates
from pipeline.strategy.protocol import Strategy, StrategyParameters
from pipeline.strategy.seen import Seen
from pipeline.strategy.settings import HistorySettings
from pipeline.strategy.setups import Setups

__all__ = ["ConfidenceWeights", "FadeParameters", "GateValues", "ValueAreaFade", "pass_gates"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

# Distances are whole ticks or means of whole ticks: what is nearer to a whole tick than this is float noise.
_NOISE = 1e-6
# The confidence is rounded to these, so that a value at its threshold is at it and not beside it.
_DECIMALS = 10
# Ticks: as many moves are zero as in ES, 1 in 120; beyond that the gates see signs and ratios only.
_MOVE_DEVIATION = 48.0
_PATHS = 20_000
# Paths simulated at once, to keep memory flat.
_CHUNK = 4096


class ConfidenceWeights(FrozenSettings):
    """Weight of each gate in the confidence of 0 to 100 (contract §5); together they are 1."""

    r_squared: float = Field(default=0.40, ge=0, le=1)
    direction: float = Field(default=0.30, ge=0, le=1)
    calm: float = Field(default=0.15, ge=0, le=1)
    runs: float = Field(default=0.15, ge=0, le=1)

    @model_validator(mode="after")
    def _sum_to_one(self) -> Self:
        total = self.r_squared + self.direction + self.calm + self.runs
        if abs(total - 1) > 1e-9:
            raise ValueError(f"the confidence weights add up to {total:g}; they must add up to 1")
        return self


class FadeParameters(StrategyParameters):
    """Parameters of :class:`ValueAreaFade`; the defaults are the contract's.

    Attributes
    ----------
    r_squared_threshold
        R² of the VPOCs' trend must be above it.
    direction_long, direction_short
        The probability of an up move must be above the first for a long, below the second for a short.
    confidence_threshold
        Confidence (0 to 100) must be above it.
    confidence_weights
        What each gate adds to the confidence.
    stop_atr_factor
        The ``k`` of contract §5: the stop lies at most ``k`` average true ranges from the entry.
    min_stop_ticks
        A setup whose stop would be nearer, in ticks, is not a candidate.
    """

    r_squared_threshold: float = Field(default=0.6, ge=0, lt=1)
    direction_long: float = Field(default=0.53, ge=0.5, lt=1)
    direction_short: float = Field(default=0.47, gt=0, le=0.5)
    confidence_threshold: float = Field(default=60.0, ge=0, lt=100)
    confidence_weights: ConfidenceWeights = ConfidenceWeights()
    stop_atr_factor: float = Field(default=1.0, gt=0, le=100)
    min_stop_ticks: int = Field(default=4, ge=1, le=1_000_000)


@dataclass(frozen=True)
class GateValues:
    """Inputs of the gates, one value per decision, arrays of shape (m,).

    Attributes
    ----------
    slope, r_squared, runs_p_value
        Of the VPOCs' trend window; NaN where missing.
    direction_probability
        Of an up move.
    calm
        Whether the last sessions moved less than the longer stretch.
    """

    slope: Floats
    r_squared: Floats
    runs_p_value: Floats
    direction_probability: Floats
    calm: Bools

    @classmethod
    def of(cls, seen: Seen) -> Self:
        """The gates' inputs of every session, shape (n,) each."""
        return cls(
            slope=seen["slope"].astype(np.float64, copy=False),
            r_squared=seen["r_squared"].astype(np.float64, copy=False),
            runs_p_value=seen["runs_p_value"].astype(np.float64, copy=False),
            direction_probability=seen["direction_probability"].astype(np.float64, copy=False),
            calm=seen["calm"].astype(np.bool_, copy=False),
        )

    def rows(self, which: Ints | Bools) -> "GateValues":
        """The values of some decisions."""
        return GateValues(
            self.slope[which],
            self.r_squared[which],
            self.runs_p_value[which],
            self.direction_probability[which],
            self.calm[which],
        )


class ValueAreaFade(Strategy):
    """Fades both edges of the last session's value area; the gates ask for a trend of the VPOCs in a calm market."""

    name = "value_area_fade"
    title = "Value-area fade"
    description = (
        "Price tends to come back to where the last session's business was done: a long rests at the value area's low "
        "(VAL) and a short at its high (VAH), each with the other end as its target and a stop of at most half that "
        "way. The rules take a setup with the trend of the VPOCs, when the market is calm or the next VPOC move is "
        "likely to its side."
    )
    source = "J. F. Dalton, E. T. Jones and R. B. Dalton, Mind over Markets (1990): responsive trade at value"
    Parameters = FadeParameters
    space = SearchSpace(
        {
            "hours": Choice(["rth", "eth"]),
            "value_area_basis_points": Whole(6000, 8500, step=100),
            "trend_window": Whole(10, 60),
            "r_squared_threshold": Real(0.2, 0.9),
            "direction_long": Real(0.5, 0.6),
            "direction_short": Real(0.4, 0.5),
            "confidence_threshold": Real(30.0, 75.0),
            "stop_atr_factor": Real(0.1, 2.0, log=True),
            # Clock times of the exchange: before the market is well under way, towards its middle, an hour before its
            # end.
            "account.entry_cutoff": Choice([None, "10:00", "12:00", "14:00"]),
        }
    )
    gates: ClassVar[Mapping[str, str]] = {
        "trend": "trend",
        "r_squared_high": "R² above threshold",
        "calm": "calm",
        "direction": "direction probability",
        "confidence_high": "confidence",
    }
    gate_parameters = frozenset(
        {"r_squared_threshold", "direction_long", "direction_short", "confidence_threshold", "confidence_weights"}
    )
    chance = "Random walks"
    baseline = "All fades"
    parameters: FadeParameters

    def setups(self, seen: Seen) -> Setups:
        """A long at VAL and a short at VAH for the session after each one, two or none a session, the long first.

        The target is the other end of the value area. The stop lies ``min(k × ATR, distance / 2)`` from the entry,
        rounded up to whole ticks (away from the entry), ``k`` being ``stop_atr_factor`` and distance that from entry to
        target. Half of an odd distance is rounded up too, so the reward can fall one tick short of twice the risk. A
        session without an average true range, or whose stop would be nearer than ``min_stop_ticks``, has none.
        """
        val, vah = seen.ticks("val"), seen.ticks("vah")
        distance = vah - val
        average = seen["atr"].astype(np.float64, copy=False)
        known = ~np.isnan(average)
        reach = self.parameters.stop_atr_factor * np.where(known, average, 0.0) / seen.instrument.tick_size
        stop = np.ceil(np.minimum(reach, distance / 2) - _NOISE).astype(np.int64)
        row = np.flatnonzero(known & (stop >= self.parameters.min_stop_ticks)).repeat(2)
        # Long and short alternate within a session.
        side = np.tile(np.array([1, -1], np.int64), len(row) // 2)
        entry = np.where(side > 0, val[row], vah[row])
        gates = pass_gates(GateValues.of(seen).rows(row), side, self.parameters)
        return Setups(
            row=row,
            side=side,
            entry=entry,
            stop=entry - side * stop[row],
            target=entry + side * distance[row],
            gates={name: gates[name] for name in _COLUMNS},
            taken=gates["rule_signal"],
        )

    def pass_rates(self, seen: Seen) -> pd.DataFrame:
        """Share of sessions on which each gate opened, of those with a trend window; as :meth:`Strategy.pass_rates`.

        The gates depend on the session alone, so all of them count, also those without a setup.
        """
        values = GateValues.of(seen)
        known = ~np.isnan(values.r_squared)
        opened = _by_gate(values.rows(known), self.parameters)
        return rates({gate: int(flags.sum()) for gate, flags in opened.items()}, int(known.sum()))

    def null_rates(self, settings: HistorySettings, *, seed: int = 0, paths: int = _PATHS) -> pd.DataFrame:
        """Share of driftless random-walk VPOC paths that passes each gate.

        Each path is one decision with a full history behind it: VPOC moves are normal, rounded to ticks, independent
        and without drift; log returns are normal and independent, of the moves too. The gates are the very functions
        the real history goes through.
        """
        rng = np.random.default_rng(seed)
        passed: dict[str, int] = {}
        for first in range(0, paths, _CHUNK):
            values = _random_walks(min(_CHUNK, paths - first), rng, settings)
            for gate, opened in _by_gate(values, self.parameters).items():
                passed[gate] = passed.get(gate, 0) + int(opened.sum())
        return rates(passed, paths).rename(columns={"decisions": "paths"})

    def titles(self) -> Mapping[str, str]:
        """As :meth:`Strategy.titles`, with the parts of the trend."""
        return {
            "slope_long": "slope up (long)",
            "slope_short": "slope down (short)",
            "r_squared": "R² above threshold",
            "calm": "calm",
            "confidence_long": "confidence, long",
            "confidence_short": "confidence, short",
            **super().titles(),
        }


_COLUMNS = ("trend", "r_squared_high", "calm", "direction", "confidence", "confidence_high")


def pass_gates(values: GateValues, side: Ints | int, parameters: FadeParameters) -> dict[str, NDArray]:
    """Evaluate the gates for a side, its confidence, and the rule signal (contract §5).

    A gate whose value is missing stays shut.

    Parameters
    ----------
    values
        Shape (m,) each.
    side
        +1 long, −1 short: one for all or shape (m,).

    Returns
    -------
    Mapping of ``slope``, ``r_squared_high``, ``trend`` (both), ``calm``, ``direction``, ``confidence_high``,
    ``rule_signal`` (bool) and ``confidence`` (0 to 100, NaN where R² or the runs test is missing), each of shape (m,).
    """
    long = np.broadcast_to(np.asarray(side) > 0, values.slope.shape)
    p_up = values.direction_probability
    weights = parameters.confidence_weights
    slope = np.where(long, values.slope > 0, values.slope < 0)
    r_squared_high = values.r_squared > parameters.r_squared_threshold
    direction = np.where(long, p_up > parameters.direction_long, p_up < parameters.direction_short)
    share = (
        weights.r_squared * values.r_squared
        + weights.direction * np.where(long, p_up, 1 - p_up)
        + weights.calm * values.calm
        + weights.runs * (1 - values.runs_p_value)
    )
    confidence = (100 * share).round(_DECIMALS)
    confidence_high = confidence > parameters.confidence_threshold
    trending = slope & r_squared_high
    return {
        "slope": slope,
        "r_squared_high": r_squared_high,
        "trend": trending,
        "calm": values.calm,
        "direction": direction,
        "confidence": confidence,
        "confidence_high": confidence_high,
        "rule_signal": trending & (values.calm | direction) & confidence_high,
    }


def _random_walks(paths: int, rng: np.random.Generator, settings: HistorySettings) -> GateValues:
    length = max(settings.direction_window, settings.trend_window - 1)
    moves = np.rint(rng.normal(0.0, _MOVE_DEVIATION, (paths, length)))
    returns = rng.normal(0.0, 1.0, (paths, settings.calm_long))
    recent = moves[:, length - (settings.trend_window - 1) :]
    vpocs = np.concatenate([np.zeros((paths, 1)), np.cumsum(recent, axis=1)], axis=1).astype(np.int64)
    slope, r_squared = trend(vpocs)
    return GateValues(
        slope=slope,
        r_squared=r_squared,
        runs_p_value=runs_p_value(recent),
        direction_probability=direction_probability(moves[:, length - settings.direction_window :]),
        calm=is_calm(
            window_deviation(returns[:, settings.calm_long - settings.calm_short :]), window_deviation(returns)
        ),
    )


def _by_gate(values: GateValues, parameters: FadeParameters) -> dict[str, Bools]:
    long, short = pass_gates(values, 1, parameters), pass_gates(values, -1, parameters)
    return {
        "slope_long": long["slope"],
        "slope_short": short["slope"],
        "r_squared": long["r_squared_high"],
        "trend_long": long["trend"],
        "trend_short": short["trend"],
        "calm": long["calm"],
        "direction_long": long["direction"],
        "direction_short": short["direction"],
        "confidence_long": long["confidence_high"],
        "confidence_short": short["confidence_high"],
        "rule_signal_long": long["rule_signal"],
        "rule_signal_short": short["rule_signal"],
    }
