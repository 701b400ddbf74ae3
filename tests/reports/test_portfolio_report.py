"""The report of a desk, as its reader finds it."""

import csv
import io
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from pipeline.backtest import BookOrders, Desk, simulate_alone, simulate_desk
from pipeline.backtest.outcomes import ORDER_REASONS, STATUSES
from pipeline.errors import DataError
from pipeline.market import Instrument, load_instruments
from pipeline.performance import deflated_sharpe_ratio, format_value, summary, verdict
from pipeline.reports import PortfolioInputs, build_portfolio_report, portfolio_trades_csv
from pipeline.reports.portfolio.inputs import WHOLE
from pipeline.reports.portfolio.sections import (
    alone,
    both_sides,
    contribution,
    correlation,
    drawdowns,
    margin,
    orders,
    results,
)
from pipeline.reports.portfolio.sections import (
    verdict as verdicts,
)
from tests.performance.desks import desk_result
from tests.performance.results import order as ended
from tests.performance.results import trade
from tests.reports.chain import FADES, report_inputs, walk
from tests.reports.outline import Outline
from tests.reports.test_looks_section import many

NQ = load_instruments()["NQ"]
SECTIONS = [
    *("verdict", "results", "equity", "contribution", "correlation", "drawdowns", "margin", "both-sides", "orders"),
    *("alone", "trade-list", "settings", "assumptions"),
]
CHARTS = ["profit-chart", "contribution-chart", "margin-chart"]
UP, DOWN = [10.0, 0.0, -4.0, 2.0], [-2.0, 4.0, 0.0, 2.0]


def text_of(html: str) -> str:
    found = Outline(f"<div>{html}</div>").text
    for invisible, shown in (("\N{NO-BREAK SPACE}", " "), ("\N{WORD JOINER}", ""), ("\N{NON-BREAKING HYPHEN}", "-")):
        found = found.replace(invisible, shown)
    return found


@pytest.fixture(scope="module")
def inputs(es: Instrument) -> PortfolioInputs:
    """Three books: a fade, the same orders turned round, and a fade of another symbol."""
    bars = walk(es)
    fades = report_inputs(bars, es).results[FADES].orders.drop(columns=["status", "reason"])
    mirrored = fades.assign(side=-fades["side"], stop=2 * fades["entry"] - fades["stop"])
    mirrored["target"] = 2 * fades["entry"] - fades["target"]
    mirrored["type"] = "stop"
    other = load_instruments()["MES"]
    desk = Desk(
        initial_capital=500_000,
        max_positions=2,
        total_risk=0.015,
        groups={"S&P 500": {"books": ["fade", "micro <b>"], "max_positions": 1}},
    )
    books = [
        BookOrders("fade", es, bars, fades),
        BookOrders("mirrored", es, bars, mirrored),
        BookOrders("micro <b>", other, bars, fades),
    ]
    return PortfolioInputs(
        title="Desk of three books",
        result=simulate_desk(books, desk),
        alone=simulate_alone(books, desk),
        descriptions={"fade": "value-area fade"},
    )


@pytest.fixture(scope="module")
def page(inputs: PortfolioInputs) -> str:
    return build_portfolio_report(inputs)


@pytest.fixture(scope="module")
def outline(page: str) -> Outline:
    return Outline(page)


@pytest.fixture
def two(es: Instrument) -> PortfolioInputs:
    """Two books by hand, the figures of which tests/performance/test_portfolio.py works out."""
    trades = [
        {"book": "a", **trade("2024-01-02 15:00", "2024-01-02 15:00", 10.0, commission=1.0)},
        {"book": "b", **trade("2024-01-02 15:00", "2024-01-02 15:00", -2.0, commission=0.5)},
        {"book": "a", **trade("2024-01-04 15:00", "2024-01-04 15:00", -4.0, commission=1.0)},
    ]
    held = [
        {"book": "a", **ended("2024-01-02", "closed")},
        {"book": "b", **ended("2024-01-02", "skipped", "desk_risk")},
    ]
    result = desk_result(
        {"a": es, "b": NQ}, {"a": UP, "b": DOWN}, trades=trades, orders=held, margin=[0.0, 504.0, 0.0, 0.0]
    )
    return PortfolioInputs("Two", result)


def test_portfolio_page_holds_every_section_and_chart_once_and_links_to_the_sections(outline: Outline) -> None:
    assert len(set(outline.identifiers)) == len(outline.identifiers)
    assert set(SECTIONS) | set(CHARTS) <= set(outline.identifiers)
    assert [link for link in outline.links if link.startswith("#")] == [f"#{name}" for name in SECTIONS]
    assert [link for link in outline.links if not link.startswith("#")] == ["desk-trades.csv"]


def test_portfolio_page_loads_nothing_from_elsewhere_and_is_the_same_twice(
    inputs: PortfolioInputs, page: str, outline: Outline
) -> None:
    assert outline.sources == []
    assert "default-src 'none'" in page
    own = [script for script in outline.scripts if len(script) < 1_000_000]
    assert "http" not in "".join(own) + outline.text
    assert build_portfolio_report(replace(inputs)) == page


def test_portfolio_page_escapes_names_that_come_from_data(inputs: PortfolioInputs, page: str, outline: Outline) -> None:
    hostile = "</script><script>alert(1)</script>"
    shown = Outline(build_portfolio_report(replace(inputs, title=hostile, descriptions={"fade": hostile})))

    assert not any(script.startswith("alert") for script in shown.scripts)
    assert hostile in shown.text
    assert "micro <b>" in outline.text
    assert not re.search(r"<b>", "".join(script for script in outline.scripts if len(script) < 1_000_000))
    assert "<b>" not in page.split("</script>")[-1]


def test_portfolio_page_states_period_capital_and_limits_at_its_head(page: str, inputs: PortfolioInputs) -> None:
    head = text_of(page.split("<header>")[1].split("</header>")[0])
    sessions = inputs.result.session_equity.index

    assert "3 books on one account · ES, MES" in head
    assert f"{len(sessions)} sessions, {sessions[0]:%Y-%m-%d} to {sessions[-1]:%Y-%m-%d}" in head
    assert "Initial capital $500,000" in head
    assert "Limits of the desk 2 positions, 1.5 % of equity at risk, 1 group" in head


def test_portfolio_page_shows_no_reason_or_status_raw(outline: Outline) -> None:
    raw = {name for name in (*ORDER_REASONS, *STATUSES) if "_" in name}

    assert len(raw) > 12
    assert not [name for name in raw if name in outline.text]


def test_orders_section_has_words_for_every_reason_an_order_can_end_with(es: Instrument) -> None:
    own = [name for name in ORDER_REASONS if name and name not in STATUSES]
    sent = [{"book": "a", **ended("2024-01-02", "skipped", reason)} for reason in own]

    text = text_of(orders.SECTION.html(PortfolioInputs("x", desk_result({"a": es}, {"a": [0.0]}, orders=sent))))

    for reason in own:
        assert reason not in text
        assert f"{reason.replace('_', ' ')} 1 7.7 %" not in text
    assert text.count(" 1 7.7 %") == len(own) == 13


def test_verdict_section_judges_the_desk_and_each_book(inputs: PortfolioInputs) -> None:
    text = text_of(verdicts.SECTION.html(inputs))

    assert text.startswith(verdict(summary(inputs.result)))
    for name, table in {WHOLE: inputs.summary, **inputs.summaries}.items():
        assert f"{name} {verdict(table).partition(': ')[0].rstrip('.')} " in text
    assert "no count of trials is kept for a desk" in text


def test_verdict_section_says_how_the_books_even_out_and_that_few_trades_judge_nothing(two: PortfolioInputs) -> None:
    text = text_of(verdicts.SECTION.html(two))

    # √76 / (√104 + √20) and √124 / (√104 + √20)
    assert "varies 59 % as much as its books' added up; it would be 76 % if no two books were correlated" in text
    assert "Too few trades to judge (3)" in text


def test_verdict_section_of_a_ruined_account_says_when(es: Instrument) -> None:
    result = desk_result({"a": es, "b": NQ}, {"a": [100.0, -1_300.0, 0.0], "b": [0.0, 100.0, -50.0]})

    text = text_of(verdicts.SECTION.html(PortfolioInputs("x", result)))

    assert "ruined: its equity was −$100.00 at the end of 2024-01-03" in text
    assert set(SECTIONS) - {"both-sides", "alone"} <= set(
        Outline(build_portfolio_report(PortfolioInputs("x", result))).identifiers
    )


def test_verdict_section_deflates_the_books_whose_trials_are_given_and_no_other(es: Instrument) -> None:
    made = np.random.default_rng(2).normal(0.3, 1, 60).round(2)
    times = pd.bdate_range("2024-01-02", periods=60).strftime("%Y-%m-%d 15:00")
    trades = [{"book": "a", **trade(time, time, pnl)} for time, pnl in zip(times, made, strict=True)]
    result = desk_result({"a": es, "b": NQ}, {"a": made, "b": [0.0] * 60}, trades=trades)
    looks = many(20)

    text = text_of(verdicts.SECTION.html(PortfolioInputs("x", result, looks={"a": looks, "b": looks})))

    deflated = 100 * deflated_sharpe_ratio(made, trials=20, sharpe_variance=looks.sharpe_variance, dependent=True)
    assert f" {format_value(deflated, '%')} 60 60" in text
    assert "– 60 60" in text  # the desk's
    assert "Deflated: the probability" in text
    assert "Deflated: the probability" not in text_of(verdicts.SECTION.html(PortfolioInputs("x", result)))


def test_results_section_has_a_line_for_the_desk_and_each_book(two: PortfolioInputs) -> None:
    text = text_of(results.SECTION.html(two))

    ratio = 2 / np.sqrt(104 / 3) * np.sqrt(252)
    assert f"a $8.00 {ratio:.2f} $4.00 2 50.0 % 2.50 $3.00" in text
    assert f"{WHOLE} $12.00" in text


def test_contribution_section_shows_shares_of_profit_and_risk_that_sum_to_the_desk(two: PortfolioInputs) -> None:
    text = text_of(contribution.SECTION.html(two))

    assert "a 2 $8.00 66.7 % $2.00 $5.89 105.3 % −$4.00 2024-01-04 $10.00 2024-01-02" in text.replace("‑", "-")
    assert "b 1 $4.00 33.3 % $0.50 $2.58 −5.3 % −$2.00" in text
    assert f"{WHOLE} 3 $12.00 100.0 % $2.50 $5.03 100.0 % −$4.00 2024-01-04 $8.00 2024-01-02" in text


def test_contribution_section_of_a_loss_says_what_its_shares_are_of(es: Instrument) -> None:
    lost = PortfolioInputs("x", desk_result({"a": es, "b": NQ}, {"a": [-10.0, 2.0], "b": [4.0, 0.0]}))

    text = text_of(contribution.SECTION.html(lost))

    assert "share of the loss" in text
    assert "a 0 −$8.00 200.0 %" in text
    assert "b 0 $4.00 −100.0 %" in text


def test_correlation_section_shows_numbers_and_shades_only_what_chance_does_not_explain(es: Instrument) -> None:
    a = [1.0, -1.0, 2.0, -2.0, 1.0, -2.0, 3.0, -2.0]
    books = {"a": a, "same": a, "idle": [0.0] * 8, "b": [1.0, 1.0, 2.0, -1.0, -1.0, 2.0, 1.0, -3.0]}
    html = correlation.SECTION.html(PortfolioInputs("x", desk_result(dict.fromkeys(books, es), books)))

    cells = re.findall(r'<td(?: style="background:([^"]*)")?>([^<]*)<', html)[:16]
    shown = {(row, column): cells[4 * r + c] for r, row in enumerate(books) for c, column in enumerate(books)}
    assert shown["a", "same"] == ("rgba(31, 95, 168, 0.55)", "1.00")
    assert shown["a", "idle"] == ("", "–")
    value = np.corrcoef(a, books["b"])[0, 1]
    assert abs(value) < 1.96 / np.sqrt(8)
    assert shown["a", "b"] == ("", f"{value:.2f}".replace("-", "−"))
    assert "0.69 of 8 sessions" in text_of(html)


def test_drawdowns_section_shows_what_each_book_made_in_the_fall(es: Instrument) -> None:
    days = {"a": [-10.0, -30.0, 20.0, 0.0, -50.0, 60.0], "b": [0.0, 10.0, 20.0, -10.0, 10.0, 0.0]}

    text = text_of(drawdowns.SECTION.html(PortfolioInputs("x", desk_result({"a": es, "b": NQ}, days))))

    assert "5.0 % $50.00 2024-01-04 2024-01-08 2024-01-09 3 −$50.00 100.0 % $0.00 0.0 %" in text
    assert "3.0 % $30.00 the start 2024-01-03 2024-01-04 3 −$40.00 133.3 % $10.00 −33.3 %" in text


def test_margin_section_shows_the_most_the_mean_and_the_time(two: PortfolioInputs) -> None:
    text = text_of(margin.SECTION.html(two))

    # 504 of an equity of 1,012 in one of four bars
    assert "Most 49.8 % Mean while a position is held 49.8 % Time with a position 25.0 %" in text
    assert "margin call 0" in text


def test_both_sides_section_says_that_a_broker_nets_and_stands_only_where_it_happened(
    inputs: PortfolioInputs, two: PortfolioInputs
) -> None:
    text = text_of(both_sides.SECTION.html(inputs))

    assert "A broker that nets positions" in text
    assert re.search(r"ES fade mirrored \d+ 2024-", text)
    assert both_sides.SECTION.html(two) == ""
    assert both_sides.SECTION.html(replace(inputs, simulated=["mirrored"])) == ""


def test_orders_section_counts_what_the_limits_of_the_desk_turned_away(
    inputs: PortfolioInputs, two: PortfolioInputs
) -> None:
    text = text_of(orders.SECTION.html(two))
    assert "Of 2 orders the limits of the desk and its groups turned away 1; 0 more were skipped" in text
    assert "the desk's total risk left too little 1 50.0 % 0 0.0 % 1 100.0 %" in text
    limits = inputs.result.orders["reason"].isin(["desk_positions", "group_positions", "desk_risk"])
    assert limits.sum() > 0
    assert f"turned away {limits.sum()};" in text_of(orders.SECTION.html(inputs))


def test_alone_section_sets_each_book_beside_itself_alone(inputs: PortfolioInputs) -> None:
    text = text_of(alone.SECTION.html(inputs))

    for book, single in inputs.alone.items():
        count = (inputs.result.trades["book"] == book).sum()
        assert f"{book} {count} alone {len(single.trades)} " in text
        assert f"alone {format_value(single.trades['pnl'].sum(), '$')} " in text
    assert alone.SECTION.html(replace(inputs, alone={})) == ""


def test_portfolio_page_of_simulated_markets_says_so_everywhere(inputs: PortfolioInputs, page: str) -> None:
    all_made = Outline(build_portfolio_report(replace(inputs, simulated=inputs.books)))
    partly = Outline(build_portfolio_report(replace(inputs, simulated=["mirrored"])))

    assert "SIMULATED MARKET · every bar" in all_made.text
    assert "Desk of three books (simulated market)" in all_made.text
    assert "On a simulated market: " in all_made.text
    assert sum('"text":"simulated market"' in script for script in all_made.scripts) == 4
    assert "PARTLY SIMULATED · the bars of book mirrored were made" in partly.text
    assert "On partly simulated markets: " in partly.text
    assert sum('"text":"partly simulated"' in script for script in partly.scripts) == 4
    assert "simulated" not in page.split("</header>")[1].lower().split("<footer>")[0].replace("plotly", "")


@pytest.mark.parametrize("days", [[], [0.0], [0.0, 0.0, 0.0]])
def test_portfolio_page_without_any_trade_is_whole(es: Instrument, days: list[float]) -> None:
    shown = Outline(
        build_portfolio_report(PortfolioInputs("x", desk_result({"a": es, "b": NQ}, {"a": days, "b": days})))
    )

    assert set(SECTIONS) - {"both-sides", "alone"} <= set(shown.identifiers)
    assert "nothing to judge" in shown.text
    assert "nan" not in shown.text.lower().split()
    assert "inf" not in shown.text.lower().split()


def test_portfolio_page_of_one_book_compares_it_with_nothing(es: Instrument) -> None:
    shown = Outline(build_portfolio_report(PortfolioInputs("x", desk_result({"a": es}, {"a": UP}))))

    assert not {"correlation", "both-sides", "alone"} & set(shown.identifiers)
    assert "added up" not in shown.text
    assert "1 book on one account" in shown.text


def test_portfolio_page_of_many_books_draws_each_in_a_look_of_its_own(es: Instrument) -> None:
    books = {f"book {number}": [float(number), -1.0] for number in range(30)}
    inputs = PortfolioInputs("x", desk_result(dict.fromkeys(books, es), books))

    looks = {tuple(inputs.line(book, 1).values()) for book in books}

    assert len(looks) == 30
    assert inputs.colors[WHOLE] not in {inputs.colors[book] for book in books}
    assert set(CHARTS) - {"margin-chart"} <= set(Outline(build_portfolio_report(inputs)).identifiers)


@pytest.mark.parametrize("given", ["descriptions", "alone", "looks"])
def test_portfolio_inputs_of_a_book_that_the_desk_has_not_are_refused(two: PortfolioInputs, given: str) -> None:
    with pytest.raises(DataError, match=rf"{given} names the book c; the desk's books are a, b"):
        replace(two, **{given: {"c": None}})
    with pytest.raises(DataError, match="simulated names the book c"):
        replace(two, simulated=["c"])


def test_portfolio_inputs_of_a_book_called_as_the_whole_are_refused(es: Instrument) -> None:
    with pytest.raises(DataError, match="a book is called Whole desk"):
        PortfolioInputs("x", desk_result({WHOLE: es}, {WHOLE: [0.0]}))


def test_portfolio_trades_csv_holds_every_trade_and_makes_no_formula_of_a_name(inputs: PortfolioInputs) -> None:
    rows = list(csv.DictReader(io.StringIO(portfolio_trades_csv(inputs))))
    trades = inputs.result.trades

    assert list(rows[0])[:4] == ["book", "symbol", "session", "side"]
    assert [row["book"] for row in rows] == trades["book"].tolist()
    assert {row["side"] for row in rows} == {"long", "short"}
    assert rows[0]["entry_time"].endswith("+00:00")
    assert pd.Timestamp(rows[0]["entry_time"]) == trades["entry_time"].iloc[0]
    assert sum(float(row["pnl"]) for row in rows) == pytest.approx(trades["pnl"].sum(), abs=0.005 * len(rows))
    hostile = replace(inputs.result, trades=trades.assign(book="=cmd()"))
    assert next(csv.DictReader(io.StringIO(portfolio_trades_csv(PortfolioInputs("x", hostile)))))["book"] == "'=cmd()"
