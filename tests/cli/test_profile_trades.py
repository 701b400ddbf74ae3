"""``vpoc profile`` on trades: told by the columns, streamed, accounted for."""

import json
import sys
from pathlib import Path

import pandas as pd
import pytest

from cli.command import main
from tests.profiles.trade_frames import trades_frame, with_fault


@pytest.fixture
def trades_file(tmp_path: Path) -> Path:
    """Two sessions of trades with one bad row and one at night."""
    rows = [(i * 40, 20_400 + i % 5, 1 + i % 3, 1 if i % 4 else -1) for i in range(300)]
    trades = trades_frame([*rows, (86_400, 20_410, 5, 1), (60, 20_400, 1, 1), (-3600, 20_500, 9, 0)])
    path = tmp_path / "my trades.csv"
    with_fault(trades, 301, volume=-1).to_csv(path, index=False)
    return path


def _vpoc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *arguments: str) -> int:
    monkeypatch.setenv("VPOC_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr(sys, "argv", ["vpoc", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_profile_of_trades_lists_sessions_and_accounts_for_every_row(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, trades_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _vpoc(monkeypatch, tmp_path, "profile", str(trades_file), "--session", "2024-03-05") == 0

    out, err = capsys.readouterr()
    assert err == ""
    assert all(part in out for part in ("303 trades", "1 negative_volume", "301 in the profiles", "1 in other hours"))
    assert "delta" in out
    for mark in ("2024-03-05", "2024-03-06", "VPOC", "VAH", "VAL", "█"):
        assert mark in out


def test_profile_of_trades_json_is_json_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, trades_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _vpoc(monkeypatch, tmp_path, "profile", str(trades_file), "--json") == 0

    rows = json.loads(capsys.readouterr().out)
    assert [row["session"] for row in rows] == ["2024-03-05", "2024-03-06"]
    assert rows[1] == {
        "session": "2024-03-06", "vpoc": 5102.5, "val": 5102.5, "vah": 5102.5, "low": 5102.5, "high": 5102.5,
        "volume": 5.0, "value_area_volume": 5.0, "buy_volume": 5.0, "sell_volume": 0.0, "delta": 5.0,
    }  # fmt: skip


def test_profile_of_trades_without_side_says_null_and_shows_no_delta(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, trades_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pd.read_csv(trades_file).drop(columns="side").to_csv(trades_file, index=False)

    assert _vpoc(monkeypatch, tmp_path, "profile", str(trades_file), "--json") == 0
    assert json.loads(capsys.readouterr().out)[0]["delta"] is None
    assert _vpoc(monkeypatch, tmp_path, "profile", str(trades_file)) == 0
    assert "delta" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("--label", "close"), 2, "--label is for bars"),
        (("--bar", "5min"), 2, "--bar is for bars"),
        (("--session", "2024-03-07"), 1, "its sessions run from 2024-03-05 to 2024-03-06"),
        (("--symbol", "ZZ"), 2, "symbol 'ZZ' is unknown"),
    ],
)
def test_profile_of_trades_mistake_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, trades_file: Path, capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...], code: int, sentence: str,
) -> None:  # fmt: skip
    assert _vpoc(monkeypatch, tmp_path, "profile", str(trades_file), *arguments) == code

    out, err = capsys.readouterr()
    assert out == ""
    assert sentence in err
    assert err.count("\n") == 1


def test_profile_of_trades_open_writes_the_session_as_a_page(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, trades_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("typer.launch", opened.append)

    assert _vpoc(monkeypatch, tmp_path, "profile", str(trades_file), "--session", "2024-03-05", "--open") == 0

    page = tmp_path / "home" / "reports" / "profile-ES-2024-03-05-rth.html"
    assert opened == [page.as_uri()]
    assert "developing VPOC" in page.read_text()


def test_profile_of_trades_none_usable_says_why(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "trades.csv"
    trades_frame([(-36_000 * 8, 20_400, 1, 1), (0, 20_400, -1, 1)]).to_csv(path, index=False)

    assert _vpoc(monkeypatch, tmp_path, "profile", str(path)) == 1
    assert "refused: 1 negative_volume" in capsys.readouterr().err


def test_profile_of_real_trades(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, real_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = str(real_data / "es_ticks_2013_09.parquet")

    assert _vpoc(monkeypatch, tmp_path, "profile", file, "--hours", "eth", "--json") == 0

    rows = json.loads(capsys.readouterr().out)
    assert [(row["session"], row["volume"]) for row in rows] == [("2013-09-02", 188_609), ("2013-09-03", 1_655_449)]


def test_profile_of_trades_in_rows_and_of_their_time(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, trades_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _vpoc(monkeypatch, tmp_path, "profile", str(trades_file), "--json", "--ticks-per-row", "4") == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["vpoc"] * 4 % 4 for row in rows] == [1.0, 1.0]
    assert rows[1]["volume"] == 5.0

    day = ("--session", "2024-03-05")
    assert _vpoc(monkeypatch, tmp_path, "profile", str(trades_file), "--allocation", "tpo", *day) == 0

    out, err = capsys.readouterr()
    assert err == ""
    for mark in ("TPOs", "initial balance", "OBCDEFG"):
        assert mark in out


def test_sides_of_other_words_are_said_by_the_option_the_error_names(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, trades_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = {1: "ask", -1: "bid"}
    named = pd.read_csv(trades_file).assign(side=lambda frame: frame["side"].map(words))
    named.to_csv(trades_file, index=False)

    assert _vpoc(monkeypatch, tmp_path, "profile", str(trades_file)) == 1
    assert "set sides (--sides 'ask=buy,bid=sell'" in " ".join(capsys.readouterr().err.split())
    assert _vpoc(monkeypatch, tmp_path, "profile", str(trades_file), "--sides", "ask=buy,bid=sell") == 0
    assert _vpoc(monkeypatch, tmp_path, "profile", str(trades_file), "--sides", "ask") == 2
