import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.performance import monthly_returns, rolling_sharpe_ratio, sharpe_ratio, total_return


def test_monthly_returns_of_hand_made_returns_compound_by_month_and_year():
    sessions = pd.DatetimeIndex(["2023-12-28", "2023-12-29", "2024-01-02", "2024-03-01", "2024-03-04"])
    table = monthly_returns(pd.Series([0.10, -0.50, 0.20, 0.50, 1.00], index=sessions))
    assert table.index.tolist() == [2023, 2024]
    assert table.columns.tolist() == [*range(1, 13), "year"]
    assert table.loc[2023, 12] == pytest.approx(1.1 * 0.5 - 1)
    assert table.loc[2023, "year"] == table.loc[2023, 12]
    assert table.loc[2024, [1, 3, "year"]].tolist() == pytest.approx([0.2, 2.0, 1.2 * 3 - 1])
    assert table.loc[2024, [2, *range(4, 13)]].isna().all()


def test_monthly_returns_of_nothing_are_an_empty_table():
    assert monthly_returns(pd.Series(dtype=float, index=pd.DatetimeIndex([]))).shape == (0, 13)


@given(st.lists(st.floats(-0.2, 0.2), min_size=1, max_size=400))
def test_monthly_returns_years_compound_to_the_total_return(values):
    returns = pd.Series(values, index=pd.bdate_range("2022-10-03", periods=len(values)))
    table = monthly_returns(returns)
    assert (1 + table["year"]).prod() - 1 == pytest.approx(total_return(returns), abs=1e-9)


def test_rolling_sharpe_ratio_equals_that_of_each_window():
    returns = pd.Series(
        np.random.default_rng(1).normal(0, 0.01, 30), index=pd.bdate_range("2024-01-01", periods=30, name="session")
    )
    found = rolling_sharpe_ratio(returns, 10)
    assert found.index.equals(returns.index[9:])
    assert found.tolist() == pytest.approx([sharpe_ratio(returns.iloc[k : k + 10]) for k in range(21)])


def test_rolling_sharpe_ratio_of_an_idle_window_is_missing():
    returns = pd.Series([0.01, 0.0, 0.0, 0.0, 0.02], index=pd.bdate_range("2024-01-01", periods=5))
    assert rolling_sharpe_ratio(returns, 3).isna().tolist() == [False, True, False]


def test_rolling_sharpe_ratio_of_too_few_sessions_is_empty():
    assert rolling_sharpe_ratio(pd.Series([0.1], index=pd.DatetimeIndex(["2024-01-02"])), 2).empty
