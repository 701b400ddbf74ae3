"""The rule signal: which candidates the gates let through (contract §5)."""

import numpy as np
import pandas as pd

from pipeline.errors import DataError
from pipeline.strategy.gates import GateValues, pass_gates
from pipeline.strategy.settings import StrategySettings

__all__ = ["SIGNAL_COLUMNS", "gate_values", "rule_signals"]

SIGNAL_COLUMNS = ("trend", "r_squared_high", "calm", "direction", "confidence", "confidence_high", "rule_signal")


def gate_values(history: pd.DataFrame) -> GateValues:
    """The columns of a session history that the gates look at, shape (n,) each."""
    return GateValues(
        slope=history["slope"].to_numpy(np.float64),
        r_squared=history["r_squared"].to_numpy(np.float64),
        runs_p_value=history["runs_p_value"].to_numpy(np.float64),
        direction_probability=history["direction_probability"].to_numpy(np.float64),
        calm=history["calm"].to_numpy(np.bool_),
    )


def rule_signals(
    candidates: pd.DataFrame, history: pd.DataFrame, settings: StrategySettings | None = None
) -> pd.DataFrame:
    """Candidates with what each gate says of them.

    Parameters
    ----------
    candidates
        From :func:`pipeline.strategy.make_candidates`, shape (n, ...).
    history
        The session history they come from.

    Returns
    -------
    DataFrame
        The candidates, row by row, and: ``trend`` (slope to the candidate's side and R² high), ``r_squared_high``,
        ``calm``, ``direction`` (bool; a gate whose value is missing is shut), ``confidence`` (0 to 100; NaN before
        there are 20 sessions), ``confidence_high`` and ``rule_signal`` (bool).

    Raises
    ------
    DataError
        If a candidate was decided on a session that the history does not hold.
    """
    row = pd.DatetimeIndex(history.index).get_indexer(pd.DatetimeIndex(candidates["decided_on"]))
    if (row < 0).any():
        stray = candidates["decided_on"].to_numpy()[np.flatnonzero(row < 0)[0]]
        raise DataError(
            f"a candidate was decided on {pd.Timestamp(stray).date()}, which the session history does not hold; "
            "make the candidates from the same history"
        )
    gates = pass_gates(
        gate_values(history).take(row), candidates["side"].to_numpy(np.int64), settings or StrategySettings()
    )
    return candidates.assign(**{name: gates[name] for name in SIGNAL_COLUMNS})
