import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from pipeline.market import label_sessions
from pipeline.profiles import profile_rows
from pipeline.reports import ReportInputs
from pipeline.reports.sections.trades import recent_sessions
from pipeline.reports.session_charts import session_charts, session_data
from tests.reports.chain import FADES, RULES, report_inputs, walk


@pytest.fixture(scope="module")
def inputs(es) -> ReportInputs:
    return report_inputs(walk(es), es)


def candles(data):
    """Prices of every candle as the page works them out, a row a candle."""
    rows, at = [], 0
    for count in data["counts"]:
        last = 0
        for k in range(at, at + count):
            opened = last + data["gap"][k]
            last = opened + data["body"][k]
            rows.append([opened, max(opened, last) + data["above"][k], min(opened, last) - data["below"][k], last])
        at += count
    return np.array(rows) * data["tick"]


def test_session_data_holds_every_bar_of_every_session(inputs):
    data = session_data(inputs)
    assert [session[:10] for session in data["sessions"]] == [f"{day:%Y-%m-%d}" for day in inputs.profiles.index]
    assert sum(data["counts"]) == len(inputs.bars)  # half-hour bars: nothing is put together
    assert (candles(data) == inputs.bars[["open", "high", "low", "close"]].to_numpy()).all()
    assert data["begins"][0] == pd.Timestamp("2024-01-02 08:30").value // 60_000_000_000
    assert data["minutes"][:3] == [0, 30, 30]
    assert data["levels"][0] is None
    assert data["levels"][1] == inputs.profiles[["val", "vpoc", "vah"]].iloc[0].tolist()


def test_session_data_of_many_bars_puts_neighbours_together(inputs, monkeypatch):
    monkeypatch.setattr("pipeline.reports.session_charts.CANDLES", 5)
    data = session_data(inputs)
    assert max(data["counts"]) <= 5
    found, bars = candles(data), inputs.bars
    sessions = label_sessions(bars["timestamp"], inputs.instrument).sessions
    own = bars[sessions == inputs.profiles.index[0]]
    mine = found[: data["counts"][0]]
    assert (mine[:, 1].max(), mine[:, 2].min()) == (own["high"].max(), own["low"].min())
    assert (mine[0, 0], mine[-1, 3]) == (own["open"].iloc[0], own["close"].iloc[-1])


def test_session_data_holds_every_trade(inputs):
    data = session_data(inputs)
    assert data["strategies"] == [RULES, FADES]
    made = inputs.results[FADES].trades
    assert [trade[-1] for trade in data["trades"][1]] == pytest.approx(made["pnl"].tolist(), abs=0.005)
    first = data["trades"][1][0]
    local = made["entry_time"].iloc[0].tz_convert("America/Chicago").tz_localize(None)
    assert first[3] == local.value // 60_000_000_000
    assert data["sessions"][first[0]].startswith(f"{made['session'].iloc[0]:%Y-%m-%d}")


def test_session_data_of_orders_without_a_target_is_json(inputs):
    result = inputs.results[FADES]
    open_ended = replace(result, orders=result.orders.assign(target=np.nan))
    data = session_data(replace(inputs, results={FADES: open_ended, RULES: inputs.results[RULES]}))
    assert {trade[6] for trade in data["trades"][1]} == {None}
    json.dumps(data, allow_nan=False)


def test_session_data_holds_the_profile_of_the_session_before(inputs):
    data = session_data(inputs)
    assert data["profiles"][0] is None
    bottom, height, *shares = data["profiles"][1]
    sessions = label_sessions(inputs.bars["timestamp"], inputs.instrument).sessions
    lowest, volume = profile_rows(inputs.bars[sessions == inputs.profiles.index[0]], inputs.instrument)
    assert bottom == lowest
    steps = [volume[at : at + height].sum() for at in range(0, len(volume), height)]
    assert len(steps) <= 60
    assert shares == [round(100 * step / max(steps)) for step in steps]


def test_session_charts_of_the_same_inputs_has_the_same_bytes(inputs):
    assert session_charts(inputs) == session_charts(inputs)


def test_session_charts_in_a_browser_move_from_session_to_session_and_show_the_trades(inputs, tmp_path):
    from playwright.sync_api import sync_playwright

    from pipeline.reports import build_report

    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no chromium on this machine; install it to see the page in a browser")
    path = tmp_path / "report.html"
    path.write_text(build_report(inputs))
    sessions = inputs.results[FADES].trades["session"].drop_duplicates()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(path.as_uri())
        page.wait_for_function("document.querySelectorAll('#replay-session option').length > 0")
        page.select_option("#replay-strategy", label=FADES)
        page.select_option("#replay-session", index=len(inputs.profiles) - 1)

        def chosen() -> str:
            return str(page.eval_on_selector("#replay-session", "each => each.options[each.selectedIndex].text"))

        page.click("#replay-back")
        assert chosen().startswith(f"{inputs.profiles.index[-2]:%Y-%m-%d}")
        before = sessions[sessions < inputs.profiles.index[-2]]
        page.click("#replay-trade-back")
        assert chosen().startswith(f"{before.iloc[-1]:%Y-%m-%d}")
        assert "trade" in page.inner_text("#replay-result")
        drawn = page.evaluate("document.getElementById('replay-chart').data.map(each => each.name)")
        panels = page.evaluate("[...document.querySelectorAll('details[open] .session')].map(each => each.data)")
        browser.close()
    assert drawn[:5] == ["prior profile", "bars", "prior VAL", "prior VPOC", "prior VAH"]
    assert {"stop", "target"} <= set(drawn)
    assert errors == []
    result = inputs.results[RULES]
    made = result.trades[result.trades["session"].isin(recent_sessions(result, inputs.profiles, 12))]
    ways = [each for panel in panels for each in panel if each["mode" if "mode" in each else "type"] == "lines+markers"]
    assert [way["y"] for way in ways] == made[["entry_price", "exit_price"]].to_numpy().tolist()
    levels = [each["y"][0] for panel in panels for each in panel if each["name"] in ("stop", "target")]
    assert levels == inputs.trades[RULES].loc[made.index, ["stop", "target"]].to_numpy().ravel().tolist()
