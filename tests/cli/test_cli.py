"""The command as a user calls it: exit codes, sentences, JSON."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from pipeline.home import PROJECT
from pipeline.market import load_instruments, simulate_market

pytestmark = pytest.mark.slow

VPOC = "from cli import main; main()"


@pytest.fixture(scope="module")
def bars_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty sessions of simulated ES as a user's CSV."""
    path = tmp_path_factory.mktemp("bars") / "my bars.csv"
    simulate_market(load_instruments()["ES"], "2021-01-04", 40, 5, bar="15min").to_csv(path, index=False)
    return path


@pytest.fixture
def vpoc(tmp_path: Path):
    """Call the command in a home of its own; returns exit code, standard output, standard error."""

    def call(*arguments: str, settings: str = "") -> tuple[int, str, str]:
        home = tmp_path / "home"
        home.mkdir(exist_ok=True)
        if settings:
            (home / "settings.yaml").write_text(settings)
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("VPOC_", "MLFLOW_"))}
        environment |= {"VPOC_HOME": str(home), "COLUMNS": "120", "PYTHONPATH": str(PROJECT)}
        environment.pop("DAGSTER_HOME", None)
        done = subprocess.run(
            [sys.executable, "-c", VPOC, *arguments],
            capture_output=True,
            text=True,
            env=environment,
            cwd=tmp_path,
            timeout=180,
        )
        return done.returncode, done.stdout, done.stderr

    return call


def test_help_lists_the_commands(vpoc) -> None:
    code, out, _ = vpoc("--help")

    assert code == 0
    for command in ("run", "profile", "backtest", "audit", "doctor", "ui", "bench"):
        assert command in out


def test_unknown_option_is_wrong_use(vpoc) -> None:
    assert vpoc("run", "--nonsense")[0] == 2


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("run", "--data", "absent.csv"), 1, "absent.csv does not exist"),
        (("run", "--symbol", "ZZ"), 2, "symbol 'ZZ' is unknown"),
        (("run", "--symbol", "NQ"), 2, "NQ has no source of bars yet: run 'vpoc run --symbol NQ --data FILE'"),
        (("run", "--symbol", "ES-SIM", "--data", "x.csv"), 2, "--data can't be used with ES-SIM"),
        (("profile", "absent.csv"), 1, "absent.csv does not exist"),
        (("backtest", "absent.csv", "--symbol", "ZZ"), 2, "symbol 'ZZ' is unknown"),
    ],
)
def test_mistake_is_one_sentence_without_traceback(vpoc, arguments: tuple[str, ...], code: int, sentence: str) -> None:
    got, out, err = vpoc(*arguments)

    assert got == code
    assert out == ""
    assert err.startswith("Error: ")
    assert err.count("\n") == 1
    assert sentence in err


def test_impossible_setting_names_file_and_setting(vpoc, bars_file: Path) -> None:
    code, _, err = vpoc("backtest", str(bars_file), settings="strategy: {trend_window: 1}\n")

    assert code == 2
    assert "settings.yaml, line 1: " in err
    assert "trend_window" in err


def test_profile_json_gives_every_session(vpoc, bars_file: Path) -> None:
    code, out, _ = vpoc("profile", str(bars_file), "--json")

    rows = json.loads(out)
    assert code == 0
    assert len(rows) == 40
    assert rows[0]["session"] == "2021-01-04"
    assert all(row["val"] <= row["vpoc"] <= row["vah"] for row in rows)


def test_profile_draws_the_session_asked_for(vpoc, bars_file: Path) -> None:
    code, out, err = vpoc("profile", str(bars_file), "--session", "2021-01-05")

    assert (code, err) == (0, "")
    for mark in ("VPOC", "VAH", "VAL", "█"):
        assert mark in out


def test_profile_of_a_day_without_bars_says_which_there_are(vpoc, bars_file: Path) -> None:
    code, _, err = vpoc("profile", str(bars_file), "--session", "2021-01-09")

    assert code == 1
    assert "2021-01-04 to 2021-02-26" in err


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("2021-01-05,1,3900,3800,4000\n2021-01-05,1,3900,3800,high\n", "line 3: target is high"),
        ("\n2021-01-05,1,3900,3950,4000\n", "line 3: stop is 3950"),
        ("soon,1,3900,3800,4000\n", "line 2: session is soon"),
    ],
)
def test_wrong_order_is_told_with_file_and_line(vpoc, bars_file: Path, tmp_path: Path, rows: str, said: str) -> None:
    orders = tmp_path / "orders.csv"
    orders.write_text(f"session,side,entry,stop,target\n{rows}")

    code, _, error = vpoc("backtest", str(bars_file), "--orders", str(orders))

    assert code == 1
    assert f"{orders}, {said}" in " ".join(error.split())


def test_backtest_of_own_orders_gives_their_fills(vpoc, bars_file: Path, tmp_path: Path) -> None:
    bars = pd.read_csv(bars_file)
    first = bars[bars["timestamp"] == "2021-01-05 14:30:00+00:00"].iloc[0]
    entry = first["open"] + 5.0  # above the open: filled at the open
    orders = tmp_path / "orders.csv"
    orders.write_text(f"session,side,entry,stop,target,quantity\n2021-01-05,1,{entry},{entry - 500},{entry + 500},2\n")
    trades = tmp_path / "trades.csv"

    code, out, _ = vpoc("backtest", str(bars_file), "--orders", str(orders), "--trades", str(trades), "--json")

    assert code == 0
    assert json.loads(out)["orders.csv"]["trades"]["value"] == 1.0
    trade = pd.read_csv(trades).iloc[0]
    assert (trade["entry_price"], trade["quantity"], trade["exit_reason"]) == (first["open"], 2, "close")
    points = trade["exit_price"] - trade["entry_price"]
    assert trade["pnl"] == pytest.approx(points * 50 * 2 - 20)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_backtest_of_own_orders_takes_every_column_from_csv_and_parquet(
    vpoc, bars_file: Path, tmp_path: Path, suffix: str
) -> None:
    bars = pd.read_csv(bars_file, parse_dates=["timestamp"]).set_index("timestamp")
    fill = bars.loc["2021-01-05 15:00:00+00:00", "open"]
    common = {"session": "2021-01-05", "side": 1, "stop": fill - 500, "quantity": 1, "group": "one"}
    window = {"live_from": "2021-01-05 09:00-06:00", "live_until": "2021-01-05 16:00-05:00"}
    orders = pd.DataFrame(
        [{**common, **window, "type": "market", "max_bars": 2}, {**common, "entry": fill - 400, "type": "limit"}]
    )
    file, trades, ends = tmp_path / f"orders.{suffix}", tmp_path / "trades.csv", tmp_path / "ends.csv"
    orders.to_csv(file, index=False) if suffix == "csv" else orders.to_parquet(file)

    code, _, err = vpoc(
        "backtest", str(bars_file), "--orders", str(file), "--trades", str(trades), "--ends", str(ends), "--json"
    )

    assert code == 0, err
    trade = pd.read_csv(trades).iloc[0]
    assert (trade["entry_time"], trade["exit_reason"]) == ("2021-01-05 15:00:00+00:00", "time")
    assert (trade["entry_price"], trade["bars_held"]) == (fill + 0.25, 3)
    assert pd.read_csv(ends)[["status", "reason"]].fillna("").to_numpy().tolist() == [
        ["closed", ""],
        ["cancelled", "group_filled"],
    ]


@pytest.mark.parametrize(
    ("names", "row", "said"),
    [
        ("type", "lmt", "line 2: type is lmt"),
        ("live_from", "2021-01-05 09:00", "line 2: live_from is 2021-01-05 09:00; give a time with its zone"),
        ("trail_tick", "4", "has a column trail_tick, which means nothing here; write trail_ticks"),
        ("quantity", "1\n2021-01-05,1,3900,3800,4000,1", "line 3: session is 2021-01-05; the same order stands"),
    ],
)
def test_wrong_column_of_own_orders_is_told(
    vpoc, bars_file: Path, tmp_path: Path, names: str, row: str, said: str
) -> None:
    orders = tmp_path / "orders.csv"
    orders.write_text(f"session,side,entry,stop,target,{names}\n2021-01-05,1,3900,3800,4000,{row}\n")

    code, _, error = vpoc("backtest", str(bars_file), "--orders", str(orders))

    assert code == 1
    assert said in " ".join(error.split())


def test_backtest_counts_each_verdict_once_for_the_same_settings_and_period(vpoc, tmp_path: Path) -> None:
    def looks(file: Path, *options: str, settings: str = "") -> int:
        code, out, err = vpoc("backtest", str(file), *options, "--json", settings=settings)
        assert code == 0, err
        (counted,) = {part["looks"]["value"] for part in json.loads(out).values()}
        return counted

    whole, half, orders = (tmp_path / name for name in ("whole.csv", "half.csv", "orders.csv"))
    bars = simulate_market(load_instruments()["ES"], "2021-01-04", 100, 5, bar="60min")
    bars.to_csv(whole, index=False)
    bars.iloc[: len(bars) // 2].to_csv(half, index=False)
    orders.write_text("session,side,entry,stop,target,quantity\n2021-01-05,1,3900,3800,4000,1\n")

    assert [looks(whole), looks(whole)] == [1, 1]
    assert looks(half) == 2
    assert looks(whole, settings="account: {risk_per_trade: 0.005}\n") == 3
    assert [looks(whole, "--orders", str(orders)), looks(whole, "--orders", str(orders))] == [4, 4]
    orders.write_text(orders.read_text().replace("4000", "4100"))
    assert looks(whole, "--orders", str(orders)) == 5


def test_backtest_says_how_many_looks_were_counted_after_a_lost_ledger_too(
    vpoc, bars_file: Path, tmp_path: Path
) -> None:
    code, out, _ = vpoc("backtest", str(bars_file))
    assert code == 0
    assert "1 trial in 1 study" in out
    vpoc("backtest", str(bars_file), settings="strategy: {trend_window: 15}\n")
    next(tmp_path.rglob("optuna.db")).unlink()

    code, out, _ = vpoc("backtest", str(bars_file))

    assert code == 0
    assert "2 trials in 1 study" in out


def test_doctor_json_finds_everything_this_environment_has(vpoc) -> None:
    code, out, _ = vpoc("doctor", "--json")

    findings = {(entry["topic"], entry["what"]): entry for entry in json.loads(out)}
    assert code == 0
    assert findings["versions", "dagster"]["state"] == "good"
    assert findings["data", "ES"]["remedy"] == "vpoc run --symbol ES --data FILE"
    assert findings["data", "ES-SIM"]["message"] == "the simulator"


def test_run_json_is_json_alone_and_leaves_report_and_source(vpoc, bars_file: Path, tmp_path: Path) -> None:
    code, out, err = vpoc("run", "--data", str(bars_file), "--json")

    document = json.loads(out)
    assert code == 0, err
    assert "Warning" not in err
    assert document["symbol"] == "ES"
    assert document["simulated"] is False
    assert set(document["strategies"]) == {"All fades", "Rule signals"}
    assert document["looks"]["trials"] == 1
    assert document["looks"]["said"].startswith("1 trial in 1 study")
    assert Path(document["report"]).exists()
    again = vpoc("run", "--symbol", "ES", "--json")
    assert json.loads(again[1]) == document


def test_profile_of_bars_without_volume_shows_the_letters_of_time(vpoc, bars_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "no volume.csv"
    pd.read_csv(bars_file).assign(volume=0).to_csv(path, index=False)

    code, out, err = vpoc("profile", str(path), "--symbol", "ES", "--allocation", "tpo", "--ticks-per-row", "4")

    assert (code, err) == (0, "")
    for mark in ("TPOs", "VPOC", "VAH", "VAL", "initial balance", "KLM"):
        assert mark in out
    code, out, err = vpoc("profile", str(path), "--symbol", "ES")
    assert (code, out) == (1, "")
    assert "--allocation tpo" in err


def test_profile_takes_rows_of_the_instrument_by_default(vpoc, tmp_path: Path) -> None:
    btc = load_instruments()["BTCUSDT"]
    path = tmp_path / "btc.csv"
    simulate_market(btc, "2021-01-04", 2, 5, bar="1h").to_csv(path, index=False)

    def levels(*options: str) -> pd.DataFrame:
        code, out, err = vpoc("profile", str(path), "--symbol", "BTCUSDT", "--json", *options)
        assert (code, err) == (0, "")
        return pd.DataFrame(json.loads(out))

    own, cents = levels(), levels("--ticks-per-row", "1")
    for name, end in (("val", 0.0), ("vpoc", 4.99), ("vah", 9.99)):
        assert own[name].mod(10).round(2).eq(end).all(), name
    assert not cents["val"].mod(10).round(2).eq(0).all()
    assert own["volume"].equals(cents["volume"])
    assert vpoc("profile", str(path), "--symbol", "BTCUSDT", "--ticks-per-row", "0")[0] == 2
    assert vpoc("profile", str(path), "--symbol", "BTCUSDT", "--allocation", "time")[0] == 2
