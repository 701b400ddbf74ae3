"""The report's first section: orders for the coming session."""

import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from pipeline.coming import ComingSession, coming_at, coming_orders, with_sizes
from pipeline.reports import ReportInputs, build_report
from pipeline.reports.sections.coming import SECTION
from pipeline.settings import Settings
from pipeline.strategy import model_signals
from tests.reports.chain import report_inputs, walk
from tests.reports.outline import Outline


@pytest.fixture(scope="module")
def inputs(es) -> ReportInputs:
    made = report_inputs(walk(es, last="2024-05-24"), es)
    return replace(made, coming=coming(made))


def coming(inputs: ReportInputs, family: str = "mlp", score: float = 0.5) -> ComingSession:
    """The orders after the bars, of the rules and of a model that scores every candidate alike."""
    predictions = pd.DataFrame(
        {"fold": -1, "score": score, "threshold": 0.4, "origin": "final"}, index=inputs.signals.index
    )
    models = {family: model_signals(inputs.signals, predictions)}
    frame = coming_orders(inputs.signals, inputs.history, inputs.bars, inputs.instrument, Settings(), models=models)
    return coming_at(frame, inputs.instrument)


def test_page_begins_with_the_coming_session(inputs):
    outline = Outline(build_report(inputs))

    assert outline.links[0] == "#coming"
    assert outline.open == []
    assert len(set(outline.identifiers)) == len(outline.identifiers)


def test_section_names_session_hours_orders_and_what_is_unusual(inputs):
    html = SECTION.html(inputs)

    assert "2 orders for Monday 2024-05-27, 08:30–12:00 America/Chicago (13:30–17:00 UTC)." in html
    assert "closes early, at 12:00 instead of 15:00" in html
    assert "last bar is of Fri 2024-05-24 15:00 America/Chicago" in html
    assert html.count("<tr>") == 1 + 4
    for text in ("no buy limit", "buy limit", "sell limit", "gates shut: ", "0.500 (from 0.400)", "ML mlp"):
        assert text in html
    entry = inputs.signals["entry"].iloc[-1]
    assert f">{entry:.2f}<" in html


def test_section_without_an_order_says_so(inputs):
    html = SECTION.html(replace(inputs, coming=coming(inputs, score=0.3)))

    assert "No order for Monday 2024-05-27" in html
    assert "below the threshold" in html


def test_order_of_size_0_is_not_counted_as_an_order(inputs):
    poor = with_sizes(inputs.coming.orders, inputs.instrument, inputs.account, "rth", equity=1_000)
    html = SECTION.html(replace(inputs, coming=replace(inputs.coming, orders=poor)))

    assert "No order for Monday 2024-05-27" in html
    assert "2 more of size 0." in html
    assert "less than one contract loses at the stop" in html


def test_section_is_left_out_where_there_is_no_session(inputs):
    assert SECTION.html(replace(inputs, coming=None)) == ""


def test_names_of_models_are_escaped(inputs):
    html = SECTION.html(replace(inputs, coming=coming(inputs, family="<b>x</b>")))

    assert "<b>x" not in html
    assert "&lt;b&gt;x" in html


@pytest.mark.slow
@pytest.mark.parametrize("over", [True, False])
def test_page_opened_later_says_that_the_session_is_over(inputs, tmp_path: Path, over: bool):
    from playwright.sync_api import sync_playwright

    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no chromium on this machine; install it to see the page in a browser")
    seen = inputs.coming
    if not over:
        seen = replace(seen, closes=pd.Timestamp("2200-01-01", tz="UTC"))
    path = tmp_path / "report.html"
    path.write_text(build_report(replace(inputs, coming=seen)), encoding="utf-8")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        shown = browser.new_page()
        shown.goto(path.as_uri())
        assert shown.locator("#session-over").is_visible() == over
        browser.close()
