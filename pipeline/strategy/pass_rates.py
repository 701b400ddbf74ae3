"""Rates at which gates open, with their binomial standard errors."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from pipeline.strategy.setups import Setups

__all__ = ["pass_rates_of", "rates"]


def pass_rates_of(setups: Setups) -> pd.DataFrame:
    """Share of setups that pass each gate, and all that the rules ask for, by side.

    Returns
    -------
    DataFrame
        Indexed by ``gate``: ``<gate>_long``, ``<gate>_short``, …, ``rule_signal_long``, ``rule_signal_short``; columns
        ``pass_rate`` (NaN where there is no setup of the side), ``standard_error``, ``decisions``.
    """
    flags = {name: values for name, values in setups.gates.items() if values.dtype == np.bool_}
    flags["rule_signal"] = setups.rule_signal
    sides = {"long": setups.side > 0, "short": setups.side < 0}
    passed = {
        f"{name}_{side}": int((values & of)[of].sum()) for name, values in flags.items() for side, of in sides.items()
    }
    decisions = {f"{name}_{side}": int(of.sum()) for name in flags for side, of in sides.items()}
    return rates(passed, decisions)


def rates(passed: Mapping[str, int], decisions: Mapping[str, int] | int) -> pd.DataFrame:
    """Return pass rates and their standard errors from counts, by gate.

    Parameters
    ----------
    passed
        Gate → how often it opened.
    decisions
        How often it could have: one for all gates, or each its own.
    """
    gates = pd.Index(list(passed), name="gate", dtype="str")
    count = np.array(list(passed.values()), dtype=np.float64)
    of = np.array([decisions[name] if isinstance(decisions, Mapping) else decisions for name in passed], np.int64)
    rate = np.divide(count, of, out=np.full(len(count), np.nan), where=of > 0)
    error = np.sqrt(rate * (1 - rate) / np.maximum(of, 1))
    return pd.DataFrame({"pass_rate": rate, "standard_error": error, "decisions": of}, index=gates)
