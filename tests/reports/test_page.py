import re
from dataclasses import replace

import pandas as pd
import pytest

from pipeline.backtest import simulate
from pipeline.errors import DataError
from pipeline.performance import COST_LINES, FEWEST_TRADES, format_value, summary, verdict
from pipeline.reports import ReportInputs, build_report
from pipeline.reports.sections import results
from pipeline.reports.theme import STRATEGY_COLORS
from tests.reports.chain import (
    FADES,
    RULES,
    report_inputs,
    walk,
    with_eight_strategies,
    with_few_trades,
    with_no_trades,
)
from tests.reports.outline import Outline

SECTIONS = [
    "verdict",
    "results",
    "equity",
    "returns",
    "trades",
    "replay",
    "sessions",
    "breakdown",
    "sides",
    "multiples",
    "excursions",
    "trade-list",
    "gates",
    "orders",
    "data",
    "assumptions",
]
CHARTS = [
    "equity-chart",
    "session-data",
    "session-chart",
    "sessions-chart",
    "breakdown-chart",
    "multiples-chart",
    "excursions-chart",
    "gates-chart",
]


@pytest.fixture(scope="module")
def inputs(es) -> ReportInputs:
    return report_inputs(walk(es), es)


@pytest.fixture(scope="module")
def page(inputs) -> str:
    return build_report(inputs)


@pytest.fixture(scope="module")
def outline(page) -> Outline:
    return Outline(page)


def test_page_nests_its_tags_and_names_every_element_once(outline):
    assert len(set(outline.identifiers)) == len(outline.identifiers)


def test_page_holds_every_section_and_chart_and_links_to_the_sections(outline):
    assert set(SECTIONS) | set(CHARTS) <= set(outline.identifiers)
    assert [link for link in outline.links if link.startswith("#")] == [f"#{name}" for name in SECTIONS]


def test_page_links_to_nothing_but_its_sections_and_the_trades_beside_it(outline):
    assert [link for link in outline.links if not link.startswith("#")] == ["ES-trades.csv"]


def test_page_loads_nothing_from_elsewhere(page, outline):
    assert outline.sources == []
    assert "default-src 'none'" in page
    own = [script for script in outline.scripts if len(script) < 1_000_000]
    assert "http" not in "".join(own) + outline.text
    assert "@import" not in page.split("</style>")[0]
    assert '"showSendToCloud":false' in page


def test_page_holds_one_copy_of_plotly(outline):
    assert sum(len(script) > 1_000_000 for script in outline.scripts) == 1


def test_page_of_the_same_inputs_has_the_same_bytes(inputs, page):
    assert build_report(inputs) == page


def test_page_says_the_verdict_of_every_strategy(inputs, outline):
    for name, table in inputs.summaries.items():
        assert f"{name} {verdict(table).partition(': ')[0].rstrip('.')} " in outline.text


def test_page_shows_the_count_of_every_order_status(inputs, outline):
    orders = inputs.results[FADES].orders
    rows = {"Filled and closed": "closed", "Price not reached": "not_reached", "Skipped": "skipped"}
    for name, status in rows.items():
        assert f"{name} {(orders['status'] == status).sum():,} " in outline.text
    assert f"All orders {len(orders):,} 100.0 %" in outline.text
    assert "(ambiguous, counted as stopped)" in outline.text


def test_page_shows_quarantined_rows_by_reason(outline):
    assert "Rows quarantined 5" in outline.text
    assert "another row 3" in outline.text
    assert "other prices 2" in outline.text
    assert "nearest tick 7" in outline.text


def test_page_states_slippage_commission_and_size(outline):
    assert "1 tick of slippage ($12.50 per contract)" in outline.text
    assert "Commission: $5.00 per contract and side." in outline.text
    assert "1 % of equity at risk" in outline.text


def test_page_states_capital_risk_and_costs_at_its_head(page):
    head = Outline(page.split("<header>")[1].split("</header>")[0]).text
    for fact in (
        "Initial capital $100,000",
        "Risk per trade 1 % of equity",
        "Commission $5.00 per contract and side",
        "Slippage 1 tick ($12.50 per contract) on stops and closes",
    ):
        assert fact in head.replace("\N{NO-BREAK SPACE}", " ")


def test_page_of_a_simulated_market_says_so_in_banner_title_verdict_and_charts(inputs, page):
    simulated = build_report(replace(inputs, simulated=True))
    shown = Outline(simulated)
    assert "SIMULATED MARKET" in shown.text
    assert "ES value-area fades (simulated market)" in shown.text
    assert "On a simulated market: " in shown.text
    assert sum('"text":"simulated market"' in script for script in shown.scripts) >= len(CHARTS)
    assert "simulated market" not in page.lower()


def test_page_escapes_markup_in_names_that_come_from_data(inputs):
    hostile = "</script><script>alert(1)</script>"
    names = {FADES: hostile, RULES: "A & B <b>"}
    shown = Outline(
        build_report(
            replace(
                inputs,
                title=hostile,
                symbol=hostile,
                source=hostile,
                results={names[name]: result for name, result in inputs.results.items()},
                summaries={names[name]: table for name, table in inputs.summaries.items()},
            )
        )
    )
    assert not any(script.startswith("alert") for script in shown.scripts)
    assert hostile in shown.text
    own = "".join(script for script in shown.scripts if len(script) < 1_000_000)
    assert "&lt;/script&gt;" in own.replace("\\u003c", "<")
    assert not re.search(r"<b>", own)


def test_page_without_any_trade_is_whole(inputs):
    shown = Outline(build_report(with_no_trades(inputs)))
    assert set(SECTIONS) <= set(shown.identifiers)
    assert "nothing to judge" in shown.text
    assert "NaN" not in shown.text
    assert "nan" not in shown.text.split()


def test_page_of_few_trades_judges_nothing_in_words_or_colour(inputs):
    few = with_few_trades(inputs)
    count = len(few.results[FADES].trades)
    assert 1 < count < FEWEST_TRADES
    page = build_report(few)
    shown = Outline(page)
    assert f"Too few trades to judge ({count}) " in shown.text
    assert '<div class="says" style' not in page
    sharpe = format_value(few.summaries[FADES].loc["sharpe_ratio", "value"], "")
    sessions = len(few.results[FADES].daily_returns)
    assert f"Too few trades to judge ({count}) {sharpe} – – {count} {sessions}" in shown.text
    assert not re.search(r"\b1 trades|\(s\)", shown.text)


def test_page_says_of_which_sessions_it_counts(inputs, outline):
    assert f"{len(inputs.profiles)} sessions with a profile" in outline.text


def test_page_leads_from_profit_before_costs_to_net_profit(inputs, outline):
    heads = (
        "Profit or loss before costs",
        "less slippage",
        "Before commission",
        "less commission",
        "Net profit or loss",
    )
    value = inputs.summaries[FADES]["value"]
    for name, head in zip(COST_LINES, heads, strict=True):
        each = format_value(value[f"{name}_ticks"], "ticks")
        assert f"{head} {format_value(value[name], '$')} {each} per contract" in outline.text


def test_page_never_says_the_same_note_twice_in_a_definition_of_the_results(inputs):
    found = re.findall(r"<li>(.*?)</li>", results.SECTION.html(with_few_trades(inputs)))
    assert found
    for remark in found:
        parts = remark.split("; ")
        assert len(set(parts)) == len(parts)


def test_page_names_no_paragraph_of_a_document_its_reader_has_not(outline):
    assert "§" not in outline.text


def test_page_of_results_without_their_summaries_is_refused(inputs):
    with pytest.raises(DataError, match="one to 12 strategies"):
        build_report(replace(inputs, summaries={FADES: inputs.summaries[FADES]}))
    with pytest.raises(DataError, match="one to 12 strategies"):
        build_report(replace(inputs, results={}, summaries={}))


def test_page_of_stored_and_read_frames_is_the_same(inputs, page, tmp_path):
    tables = {}
    for number, (name, table) in enumerate(inputs.summaries.items()):
        table.to_parquet(tmp_path / f"{number}.parquet")
        tables[name] = pd.read_parquet(tmp_path / f"{number}.parquet")
    assert build_report(replace(inputs, summaries=tables)) == page


def test_page_of_seven_years_of_real_bars_stays_under_eight_megabytes(es, real_data):
    bars = pd.read_parquet(real_data / "es_5m_2015_2021.parquet")
    bars["timestamp"] = bars["timestamp"].dt.as_unit("ns")
    found = build_report(replace(report_inputs(bars, es), source="es_5m_2015_2021.parquet"))
    assert len(found.encode()) < 8_000_000


def test_page_of_eight_strategies_shows_every_one_in_every_table_and_chart(inputs):
    eight = with_eight_strategies(inputs)
    page = build_report(eight)
    shown = Outline(page)
    assert set(SECTIONS) | set(CHARTS) <= set(shown.identifiers)
    for name, table in eight.summaries.items():
        sharpe = format_value(table.loc["sharpe_ratio", "value"], "")
        assert sharpe in shown.text
        assert sum(f'"name":"{name}"' in script for script in shown.scripts) >= 3  # equity, breakdown, multiples
    for head in ("results", "orders"):
        part = page.split(f'<section id="{head}"')[1].split("</section>")[0]
        assert part.count('<th class="both" scope="col">') == 8
    for color in STRATEGY_COLORS[:8]:
        assert f'style="background:{color}"' in page


def test_page_of_thirteen_strategies_is_refused(inputs):
    names = [str(number) for number in range(13)]
    results = dict.fromkeys(names, inputs.results[FADES])
    with pytest.raises(DataError, match="one to 12 strategies"):
        build_report(replace(inputs, results=results, summaries=dict.fromkeys(names, inputs.summaries[FADES])))


def test_page_of_strategies_that_begin_at_different_sessions_says_so(inputs, outline):
    assert "not comparable" not in outline.text
    later = inputs.bars[inputs.bars["timestamp"] >= pd.Timestamp("2024-03-01", tz="UTC")]
    signals = inputs.signals[inputs.signals["session"] >= "2024-03-05"]
    result = simulate(later, signals, inputs.instrument, inputs.account)
    shown = Outline(
        build_report(
            replace(
                inputs,
                results={**inputs.results, "ML mlp": result},
                summaries={**inputs.summaries, "ML mlp": summary(result)},
            )
        )
    )
    assert "All fades, Rule signals on 2024-01-02; ML mlp on 2024-03-01" in shown.text
