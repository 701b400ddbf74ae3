from dataclasses import replace

import pytest

from pipeline.performance import format_value, monthly_returns, worst_drawdowns
from pipeline.reports import ReportInputs
from pipeline.reports.sections.returns import SECTION, distribution_figure, rolling_figure
from tests.reports.chain import FADES, RULES, report_inputs, walk, with_no_trades
from tests.reports.outline import Outline


@pytest.fixture(scope="module")
def inputs(es) -> ReportInputs:
    return report_inputs(walk(es), es)


@pytest.fixture(scope="module")
def text(inputs) -> str:
    return Outline(SECTION.html(inputs)).text


def test_returns_section_shows_every_month_and_the_year_compounded(inputs, text):
    year = 100 * monthly_returns(inputs.results[FADES].daily_returns).loc[2024]
    shown = [f"{value:+.1f}".replace("-", "−").replace("+0.0", "0.0") for value in year.dropna()]
    assert f"2024 {' '.join(shown)} " in text


def test_returns_section_lists_the_worst_drawdowns_by_their_trade_dates(inputs, text):
    worst = worst_drawdowns(inputs.results[FADES].equity, initial=100_000).iloc[0]
    peak, trough = (f"{worst[name].tz_convert('America/Chicago'):%Y-%m-%d}" for name in ("start", "trough"))
    depth, amount = format_value(100 * worst["depth"], "%"), format_value(worst["amount"], "$")
    assert f"{depth} {amount} {peak} {trough} " in text


def test_returns_section_opens_the_rules_and_puts_the_yardstick_last(inputs):
    page = SECTION.html(inputs)
    assert page.index(f"<details open><summary>{RULES}") < page.index(f"<details><summary>{FADES}")


def test_rolling_figure_needs_half_a_year_of_sessions(inputs, es):
    assert len(inputs.results[FADES].daily_returns) < 126
    assert rolling_figure(inputs) is None
    long = report_inputs(walk(es, last="2024-08-30"), es)
    line = rolling_figure(long).data[0]
    assert len(line.y) == len(long.results[FADES].daily_returns) - 125


def test_distribution_figure_holds_every_session_with_a_result(inputs):
    for line, result in zip(distribution_figure(inputs).data, inputs.results.values(), strict=True):
        assert sum(line.y) == pytest.approx(100, abs=0.05)
        assert line.name in (FADES, RULES)
        assert (result.daily_returns != 0).any()


def test_returns_section_without_trades_says_so(inputs):
    idle = Outline(SECTION.html(with_no_trades(inputs))).text
    assert "No drawdown." in idle
    assert "nan" not in idle.lower().split()


def test_returns_section_of_a_market_that_never_closes_counts_years_of_365_days(inputs):
    from pipeline.market import load_instruments

    bitcoin = replace(inputs, instrument=load_instruments()["BTCUSDT"])
    assert "Fewer than 182 sessions." in Outline(SECTION.html(bitcoin)).text
