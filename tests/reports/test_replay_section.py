import shutil

import numpy as np
import pandas as pd
import pytest

from pipeline.market import label_sessions
from pipeline.reports import ReportInputs
from pipeline.reports.replay_section import replay_data, replay_section
from pipeline.reports.trade_list import trade_list
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


def test_replay_data_holds_every_bar_of_every_session(inputs):
    data = replay_data(inputs, trade_list(inputs))
    assert [session[:10] for session in data["sessions"]] == [f"{day:%Y-%m-%d}" for day in inputs.profiles.index]
    assert sum(data["counts"]) == len(inputs.bars)  # half-hour bars: nothing is put together
    assert (candles(data) == inputs.bars[["open", "high", "low", "close"]].to_numpy()).all()
    assert data["begins"][0] == pd.Timestamp("2024-01-02 08:30").value // 60_000_000_000
    assert data["minutes"][:3] == [0, 30, 30]
    assert data["levels"][0] is None
    assert data["levels"][1] == inputs.profiles[["val", "vpoc", "vah"]].iloc[0].tolist()


def test_replay_data_of_many_bars_puts_neighbours_together(inputs, monkeypatch):
    monkeypatch.setattr("pipeline.reports.replay_section._CANDLES", 5)
    data = replay_data(inputs, trade_list(inputs))
    assert max(data["counts"]) <= 5
    found, bars = candles(data), inputs.bars
    sessions = label_sessions(bars["timestamp"], inputs.instrument).sessions
    own = bars[sessions == inputs.profiles.index[0]]
    mine = found[: data["counts"][0]]
    assert (mine[:, 1].max(), mine[:, 2].min()) == (own["high"].max(), own["low"].min())
    assert (mine[0, 0], mine[-1, 3]) == (own["open"].iloc[0], own["close"].iloc[-1])


def test_replay_data_holds_every_trade(inputs):
    data = replay_data(inputs, trade_list(inputs))
    assert data["strategies"] == [RULES, FADES]
    made = inputs.results[FADES].trades
    assert [trade[-1] for trade in data["trades"][1]] == pytest.approx(made["pnl"].tolist(), abs=0.005)
    first = data["trades"][1][0]
    local = made["entry_time"].iloc[0].tz_convert("America/Chicago").tz_localize(None)
    assert first[3] == local.value // 60_000_000_000
    assert data["sessions"][first[0]].startswith(f"{made['session'].iloc[0]:%Y-%m-%d}")


def test_replay_section_of_the_same_inputs_has_the_same_bytes(inputs):
    trades = trade_list(inputs)
    assert replay_section(inputs, trades) == replay_section(inputs, trades)


def test_replay_section_in_a_browser_moves_from_session_to_session_and_trade_to_trade(inputs, tmp_path):
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
        browser.close()
    assert drawn[:4] == ["bars", "prior VAL", "prior VPOC", "prior VAH"]
    assert {"stop", "target"} <= set(drawn)
    assert errors == []
