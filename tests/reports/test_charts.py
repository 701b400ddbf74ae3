import numpy as np
import pandas as pd
import pytest

from pipeline.performance import buy_and_hold
from pipeline.reports.inputs import ReportInputs
from pipeline.reports.sections.breakdown import breakdown
from pipeline.reports.sections.data import missing_sessions
from pipeline.reports.sections.equity import equity_figure, session_drawdowns
from pipeline.reports.sections.gates import gate_rates
from pipeline.reports.sections.multiples import multiples_figure
from pipeline.reports.sections.trades import recent_sessions
from pipeline.strategy import Seen
from tests.performance.results import trade
from tests.reports.chain import FADES, report_inputs, walk


@pytest.fixture(scope="module")
def inputs(es) -> ReportInputs:
    return report_inputs(walk(es), es)


def test_breakdown_of_four_trades_groups_by_local_hour_weekday_year_and_exit(es):
    trades = pd.DataFrame(
        [
            trade("2023-12-29 14:30", "2023-12-29 15:00", 490.0),  # a Friday, 08:30 in Chicago's winter
            trade("2024-07-01 13:45", "2024-07-01 14:00", -260.0),  # a Monday, 08:45 in its summer
            trade("2024-07-01 18:00", "2024-07-01 19:00", -60.0, exit_reason="close"),
            trade("2024-07-05 18:30", "2024-07-05 19:00", -260.0),
        ]
    )
    parts = {name: frame["pnl"].to_dict() for name, frame in breakdown(trades, es).items()}
    assert parts == {
        "hour": {"08:00": 230.0, "13:00": -320.0},
        "weekday": {"Mon": -320.0, "Fri": 230.0},
        "year": {"2023": 490.0, "2024": -580.0},
        "exit": {"stop": -520.0, "target": 490.0, "close": -60.0},
    }
    assert breakdown(trades, es)["weekday"]["trades"].to_dict() == {"Mon": 2, "Fri": 2}


def test_breakdown_sums_to_the_profit_and_loss_of_all_trades(inputs):
    trades = inputs.results[FADES].trades
    for frame in breakdown(trades, inputs.instrument).values():
        assert frame["pnl"].sum() == pytest.approx(trades["pnl"].sum())
        assert frame["trades"].sum() == len(trades)


def test_session_drawdowns_take_the_deepest_bar_of_each_session():
    sessions = pd.DatetimeIndex(["2024-01-02", "2024-01-02", "2024-01-03", "2024-01-03", None])
    equity = pd.Series([90.0, 100.0, 120.0, 60.0, 1.0], index=pd.date_range("2024-01-02", periods=5, tz="UTC"))
    falls = session_drawdowns(equity, 100.0, sessions)
    assert falls.tolist() == [0.1, 0.5]


def test_equity_figure_ends_at_the_equity_of_the_last_bar(inputs):
    held = buy_and_hold(inputs.bars, inputs.instrument, inputs.account)
    figure = equity_figure(inputs, held)
    assert figure.data[0].y[-1] == pytest.approx(inputs.results[FADES].equity.iloc[-1], abs=0.01)
    assert figure.data[-2].name == "Buy and hold"
    assert figure.data[-2].y[-1] == pytest.approx(held.equity.iloc[-1], abs=0.01)


def test_recent_sessions_are_the_last_with_trades_in_order(inputs):
    result = inputs.results[FADES]
    found = recent_sessions(result, inputs.profiles, 5)
    assert found == sorted(result.trades["session"].unique())[-5:]


def test_multiples_figure_bars_hold_every_trade(inputs):
    for bars, result in zip(multiples_figure(inputs).data, inputs.results.values(), strict=True):
        assert np.asarray(bars.customdata)[:, 2].sum() == len(result.trades)


def test_gate_rates_set_the_market_beside_chance_in_percent(inputs):
    rates = gate_rates(inputs)
    market = inputs.strategy.pass_rates(Seen.of(inputs.history, inputs.instrument, inputs.settings))
    assert rates["chance_pass_rate"].to_dict() == (100 * inputs.null_rates["pass_rate"]).to_dict()
    assert rates.loc["calm", "market_pass_rate"] == 100 * market.loc["calm", "pass_rate"]


def test_missing_sessions_are_those_of_the_calendar_without_a_profile(es):
    bars = walk(es, last="2024-03-08")
    day = bars["timestamp"].dt.tz_convert(es.time_zone).dt.date.astype(str)
    assert missing_sessions(report_inputs(bars[day != "2024-02-06"], es)).tolist() == [pd.Timestamp("2024-02-06")]
