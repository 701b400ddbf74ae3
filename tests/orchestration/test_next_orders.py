"""``vpoc orders`` and its asset, on what a run has made."""

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import typer
from typer.testing import CliRunner, Result

from cli.orders import orders
from pipeline.coming import coming_orders
from pipeline.datasets import find_dataset
from pipeline.errors import PipelineError
from pipeline.home import Home
from pipeline.settings import load_settings
from tests.orchestration.conftest import Made

pytestmark = pytest.mark.slow


def vpoc_orders(*options: str) -> Result:
    app = typer.Typer()
    app.command()(orders)
    return CliRunner().invoke(app, [*options])


def stored(home: Home, asset: str, key: str = "ES-SIM") -> pd.DataFrame:
    return pd.read_parquet(home.assets / asset / f"{key}.parquet")


@pytest.fixture
def at_home(made: Made, monkeypatch: pytest.MonkeyPatch) -> Home:
    """The home that is made once, for commands that only read."""
    monkeypatch.setenv("VPOC_HOME", str(made.home.root))
    return made.home


def document(*options: str) -> dict[str, Any]:
    result = vpoc_orders("--symbol", "ES-SIM", "--json", *options)
    assert result.exit_code == 0
    return json.loads(result.stdout)


def test_stored_orders_are_those_of_the_signals(at_home: Home):
    dataset, settings = find_dataset("ES-SIM", at_home), load_settings(at_home)
    bars = dataset.read().frame.drop(columns=["source_file", "source_line"])
    models = {family: stored(at_home, "model_signals", f"ES-SIM/{family}") for family in ("lightgbm", "mlp")}

    expected = coming_orders(
        stored(at_home, "rule_signals"),
        stored(at_home, "session_history"),
        bars,
        dataset.instrument,
        settings,
        models=models,
    )

    pd.testing.assert_frame_equal(stored(at_home, "next_orders"), expected, check_dtype=False)


def test_orders_as_json_are_the_stored_ones_with_state_and_hours(at_home: Home):
    found = document()

    assert (found["symbol"], found["simulated"], found["state"]) == ("ES-SIM", True, "coming")
    assert found["session"] == "2022-03-29"
    assert found["opens"] == "2022-03-29T13:30:00+00:00"
    assert found["equity"] == 100_000
    frame = stored(at_home, "next_orders")
    assert [row["by"] for row in found["orders"]] == frame["by"].tolist()
    assert {row["by"] for row in found["orders"]} == {"Rule signals", "ML lightgbm", "ML mlp"}
    assert [row["quantity"] for row in found["orders"] if row["action"] == "order"] == [
        int(value) for value in frame["quantity"].dropna()
    ]
    for row in found["orders"]:
        assert (row["score"] is None) == (row["by"] == "Rule signals")


def test_orders_for_another_equity_have_its_sizes(at_home: Home):
    ordinary, rich = (
        [row["quantity"] for row in document(*options)["orders"] if row["action"] == "order"]
        for options in ((), ("--equity", "1000000"))
    )

    assert ordinary
    for small, large in zip(ordinary, rich, strict=True):
        assert 10 * small <= large < 10 * (small + 1)


def test_orders_as_csv_hold_every_row(at_home: Home, tmp_path: Path):
    file = tmp_path / "orders.csv"
    assert vpoc_orders("--symbol", "ES-SIM", "--csv", str(file)).exit_code == 0

    read = pd.read_csv(file)
    frame = stored(at_home, "next_orders")
    assert read["by"].tolist() == frame["by"].tolist()
    assert read["entry"].tolist() == frame["entry"].tolist()


def test_table_fits_eighty_columns(at_home: Home, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "80")
    shown = vpoc_orders("--symbol", "ES-SIM").stdout

    assert "orders for Tuesday 2022-03-29" in shown
    lines = shown.splitlines()
    head = next(number for number, line in enumerate(lines) if "loss at stop" in line)
    assert all(len(line) <= 80 for line in lines[head : head + 8])
    for price in stored(at_home, "next_orders")["entry"].dropna():
        assert f"{price:.2f}" in shown


def test_orders_that_were_not_made_are_refused(home: Home):
    result = vpoc_orders("--symbol", "ES-SIM")

    assert isinstance(result.exception, PipelineError)
    assert "'vpoc run --symbol ES-SIM' makes them" in str(result.exception)


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("strategy: {r_squared_threshold: 0.5}", "strategy.r_squared_threshold: 0.6 -> 0.5"),
        ("history: {trend_window: 25}", "strategy.trend_window: 20 -> 25"),
        ("models: {require_rules: true}", "models.require_rules"),
        ("strategy: initial_balance_breakout", "strategy.name: value_area_fade -> initial_balance_breakout"),
    ],
)
def test_orders_of_other_settings_are_refused(home: Home, made: Made, line: str, named: str):
    shutil.copytree(made.home.assets / "next_orders", home.assets / "next_orders")
    market = made.home.settings.read_text().splitlines()[0]
    home.settings.write_text(f"{market}\n{line}\n")

    result = vpoc_orders("--symbol", "ES-SIM")

    assert isinstance(result.exception, PipelineError)
    assert named in str(result.exception)


def test_orders_of_another_source_and_unreadable_ones_are_refused(home: Home, made: Made):
    shutil.copytree(made.home.assets / "next_orders", home.assets / "next_orders")
    home.settings.write_text("simulator: {seed: 99}\n")
    other = vpoc_orders("--symbol", "ES-SIM")
    (home.assets / "next_orders" / "ES-SIM.parquet").write_bytes(b"PAR1 no")
    broken = vpoc_orders("--symbol", "ES-SIM")

    assert isinstance(other.exception, PipelineError)
    assert "vpoc run" in str(other.exception)
    assert isinstance(broken.exception, PipelineError)
    assert "can't be read" in str(broken.exception)
