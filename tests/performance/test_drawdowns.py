import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.performance import maximum_drawdown, worst_drawdowns


def hourly(values):
    return pd.Series(np.asarray(values, float), index=pd.date_range("2024-01-02", periods=len(values), freq="h"))


def test_worst_drawdowns_of_three_falls_are_ordered_by_depth_and_do_not_overlap():
    equity = hourly([100, 90, 95, 100, 120, 60, 90, 130, 117])
    found = worst_drawdowns(equity, initial=100)
    at = equity.index
    assert found["depth"].tolist() == [0.5, 0.1, pytest.approx(0.1)]
    assert found["amount"].tolist() == [60, 10, 13]
    assert found["start"].tolist() == [at[4], at[0], at[7]]
    assert found["trough"].tolist() == [at[5], at[1], at[8]]
    assert found["recovery"].tolist() == [at[7], at[3], pd.NaT]
    assert found["length"].tolist() == [pd.Timedelta(hours=3), pd.Timedelta(hours=3), pd.Timedelta(hours=1)]


def test_worst_drawdowns_of_a_fall_from_the_first_bar_start_there():
    found = worst_drawdowns(hourly([80, 90, 100]), initial=100)
    assert (found.loc[0, "start"], found.loc[0, "depth"]) == (pd.Timestamp("2024-01-02"), 0.2)


def test_worst_drawdowns_of_equity_that_only_rises_are_none():
    assert worst_drawdowns(hourly([100, 101, 101, 102]), initial=100).empty
    assert worst_drawdowns(hourly([]), initial=100).empty


@given(st.lists(st.integers(1, 50), min_size=1, max_size=60))
def test_worst_drawdowns_begin_with_the_maximum_drawdown(values):
    equity = hourly(values)
    found, largest = worst_drawdowns(equity, count=100), maximum_drawdown(equity)
    if not len(found):
        assert largest.fraction == 0
        return
    assert found.loc[0, "depth"] == largest.fraction
    assert found.loc[0, "trough"] == largest.trough
    spells = found.sort_values("start")
    ends = spells["recovery"].fillna(equity.index[-1])
    assert (spells["start"].iloc[1:].to_numpy() >= ends.iloc[:-1].to_numpy()).all()
