import numpy as np
import pandas as pd
import pytest

from pipeline.performance import buy_and_hold
from pipeline.reports.breakdown_charts import breakdown, multiples_figure
from pipeline.reports.equity_chart import equity_figure, session_drawdowns
from pipeline.reports.gate_chart import gate_rates
from pipeline.reports.inputs import ReportInputs
from pipeline.reports.session_panels import panel_figure, recent_sessions
from pipeline.reports.stacking import stacked
from pipeline.reports.tables import missing_sessions
from pipeline.strategy import gate_pass_rates
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


def test_stacked_sets_panels_one_below_the_other_and_back(inputs):
    result = inputs.results[FADES]
    figure = panel_figure(inputs, result, recent_sessions(result, inputs.profiles, 4))
    narrow, wide = stacked(figure, 4, panel_height=200)
    domains = [narrow[f"yaxis{number}.domain"] for number in ("", 2, 3, 4)]
    assert narrow["height"] == 128 + 4 * 200 - 64 + 48
    assert [domain[1] for domain in domains] == pytest.approx([1, 536 / 736, 336 / 736, 136 / 736], abs=1e-5)
    assert [domain[0] for domain in domains] == pytest.approx([600 / 736, 400 / 736, 200 / 736, 0], abs=1e-5)
    assert [narrow[f"annotations[{i}].y"] for i in range(4)] == [domain[1] for domain in domains]
    assert narrow.keys() == wide.keys()
    assert wide["xaxis2.domain"] == list(figure.layout.xaxis2.domain)
    assert wide["height"] == figure.layout.height


def test_panel_figure_hides_the_places_it_does_not_fill(inputs):
    result = inputs.results[FADES]
    figure = panel_figure(inputs, result, recent_sessions(result, inputs.profiles, 4))
    assert [figure.layout[f"xaxis{number}"].visible for number in (4, 5, 6)] == [None, False, False]


def test_recent_sessions_are_the_last_with_trades_in_order(inputs):
    result = inputs.results[FADES]
    found = recent_sessions(result, inputs.profiles, 5)
    assert found == sorted(result.trades["session"].unique())[-5:]


def test_panel_figure_marks_every_trade_of_its_sessions_at_its_prices(inputs):
    result = inputs.results[FADES]
    sessions = recent_sessions(result, inputs.profiles, 4)
    figure = panel_figure(inputs, result, sessions)
    shown = result.trades[result.trades["session"].isin(sessions)]
    entries = [price for drawn in figure.data if drawn.legendgroup == "entry" for price in drawn.y]
    exits = [price for drawn in figure.data if drawn.legendgroup == "exit" for price in drawn.y]
    assert entries == shown["entry_price"].tolist()
    assert exits == shown["exit_price"].tolist()


def test_panel_figure_draws_the_value_area_of_the_session_before(inputs):
    result = inputs.results[FADES]
    session = recent_sessions(result, inputs.profiles, 1)[0]
    band = next(drawn for drawn in panel_figure(inputs, result, [session]).data if drawn.name == "prior value area")
    before = inputs.profiles.iloc[inputs.profiles.index.get_loc(session) - 1]
    low, high = panel_figure(inputs, result, [session]).layout.yaxis.range
    assert (band.y[0], band.y[2]) == (max(before["val"], low), min(before["vah"], high))


def test_multiples_figure_bars_hold_every_trade(inputs):
    for bars, result in zip(multiples_figure(inputs).data, inputs.results.values(), strict=True):
        assert np.asarray(bars.customdata)[:, 2].sum() == len(result.trades)


def test_gate_rates_set_the_market_beside_chance_in_percent(inputs):
    rates = gate_rates(inputs)
    market = gate_pass_rates(inputs.history, inputs.settings)
    assert rates["chance_pass_rate"].to_dict() == (100 * inputs.null_rates["pass_rate"]).to_dict()
    assert rates.loc["calm", "market_pass_rate"] == 100 * market.loc["calm", "pass_rate"]


def test_missing_sessions_are_those_of_the_calendar_without_a_profile(es):
    bars = walk(es, last="2024-03-08")
    day = bars["timestamp"].dt.tz_convert(es.time_zone).dt.date.astype(str)
    assert missing_sessions(report_inputs(bars[day != "2024-02-06"], es)).tolist() == [pd.Timestamp("2024-02-06")]
