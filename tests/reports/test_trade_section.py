import csv
import io
from dataclasses import replace

import pandas as pd
import pytest

from pipeline.performance import excursions, format_value
from pipeline.reports import ReportInputs, trades_csv, trades_file
from pipeline.reports.sections import excursions as excursion_section
from pipeline.reports.sections import sides, trade_list
from pipeline.reports.sections.excursions import excursion_figure
from tests.reports.chain import FADES, RULES, report_inputs, walk, with_no_trades
from tests.reports.outline import Outline


@pytest.fixture(scope="module")
def inputs(es) -> ReportInputs:
    return report_inputs(walk(es), es)


@pytest.fixture(scope="module")
def trades(inputs) -> dict[str, pd.DataFrame]:
    return inputs.trades


def test_trades_csv_holds_every_trade_of_every_backtest(inputs, trades):
    rows = list(csv.DictReader(io.StringIO(trades_csv(inputs))))
    assert [row["strategy"] for row in rows] == [FADES] * len(trades[FADES]) + [RULES] * len(trades[RULES])
    first, made = rows[0], inputs.results[FADES].trades.iloc[0]
    assert first["session"] == f"{made['session']:%Y-%m-%d}"
    assert first["side"] == {1: "long", -1: "short"}[made["side"]]
    assert pd.Timestamp(first["entry_time"]) == made["entry_time"]
    assert first["entry_time"].endswith("-06:00")
    assert float(first["pnl"]) == pytest.approx(made["pnl"], abs=0.005)
    assert sum(float(row["pnl"]) for row in rows if row["strategy"] == RULES) == pytest.approx(
        inputs.results[RULES].trades["pnl"].sum(), abs=0.01
    )
    measured = excursions(inputs.results[FADES].trades, inputs.results[FADES].orders, inputs.bars, inputs.instrument)
    assert float(first["mae"]) == pytest.approx(measured["mae"].iloc[0], abs=1e-4)


def test_trades_csv_is_the_same_twice_and_lies_beside_the_page(inputs):
    assert trades_csv(inputs) == trades_csv(inputs)
    assert trades_file(inputs) == "ES-trades.csv"


def test_trades_csv_makes_no_formula_of_a_name(inputs):
    hostile = replace(inputs, results={"=cmd()": inputs.results[FADES]}, summaries={"=cmd()": inputs.summaries[FADES]})
    rows = list(csv.DictReader(io.StringIO(trades_csv(hostile))))
    assert {row["strategy"] for row in rows} == {"'=cmd()"}


def test_trades_csv_without_trades_is_its_header(inputs):
    assert trades_csv(with_no_trades(inputs)).count("\n") == 1


def test_sides_table_splits_the_net_result(inputs):
    text = Outline(f"<div>{sides.SECTION.html(inputs)}</div>").text
    made = inputs.results[FADES].trades
    for side, name in ((1, "Long"), (-1, "Short")):
        part = made.loc[made["side"] == side, "pnl"]
        assert f"{name} {len(part):,} {100 * (part > 0).mean():.1f} %" in text
        assert format_value(part.sum(), "$") in text


def test_excursion_figure_draws_a_dot_a_trade(inputs, trades):
    drawn = dict.fromkeys(trades, 0)
    for dots in excursion_figure(inputs).data:
        drawn[dots.name] += len(dots.x)
    assert drawn == {name: len(frame) for name, frame in trades.items()}


def test_trade_list_shows_the_newest_first_and_links_to_the_file(inputs, trades):
    page = trade_list.SECTION.html(inputs)
    assert '<a href="ES-trades.csv" download>' in page
    text = Outline(page).text
    last = inputs.results[FADES].trades.iloc[-1]
    assert f"{FADES}: {len(trades[FADES]):,} trades Session Side Contracts Entry Exit Reason P&L R MAE MFE " in text
    assert text.count(f"{last['session']:%Y-%m-%d} ") >= 1
    assert format_value(last["pnl"], "$") in text


def test_trade_sections_without_trades_say_so(inputs):
    idle = with_no_trades(inputs)
    for part in (excursion_section, trade_list):
        assert "No trades." in part.SECTION.html(idle)
