import numpy as np
import pandas as pd
import pytest

from pipeline.errors import ConfigurationError
from pipeline.market import Instrument, find_instrument, load_instruments, simulate_market
from tests.market.evidence.looking import flat_bars, found

PRICES = ["open", "high", "low", "close"]


@pytest.fixture(scope="module")
def day(es: Instrument) -> pd.DataFrame:
    return simulate_market(es, "2023-05-01", 2, 3)


@pytest.mark.parametrize("factor", [100.0, 10.0, 1e9])
def test_prices_in_a_smaller_unit_are_detected_by_level_and_grid(
    day: pd.DataFrame, es: Instrument, factor: float
) -> None:
    findings = found(day.assign(**{name: day[name] * factor for name in PRICES}), es)

    # Ten times too high lies within what ES may cost one day, and is not told.
    assert set(findings) == ({"price_unit"} if factor > 10 else set())
    if factor > 10:
        assert f"{factor:,.0f} times too high" in findings["price_unit"].message


def test_prices_with_thousands_read_as_decimals_are_reported(day: pd.DataFrame, es: Instrument) -> None:
    findings = found(day.assign(**{name: day[name].round() / 1000 for name in PRICES}), es)

    assert "1,000 times too low" in findings["price_unit"].message
    assert "--decimal ','" in findings["price_unit"].message


def test_prices_of_another_instrument_are_asked_about(day: pd.DataFrame, es: Instrument) -> None:
    bitcoin = day.assign(**{name: day[name] + 60_000 for name in PRICES})

    assert found(bitcoin, es)["price_level"].message.endswith("is this ES's file? If not, name its --symbol")


def test_prices_of_an_instrument_without_a_range_are_judged_by_their_grid_alone(
    day: pd.DataFrame, es: Instrument
) -> None:
    own = es.model_copy(update={"price_range": None})

    assert not found(day, own)
    assert found(day.assign(**{name: day[name] * 100 for name in PRICES}), own)["price_unit"].severity == "note"


def test_price_range_that_falls_is_refused(tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "own.yaml"
    path.write_text(
        "X: {tick_size: 1, point_value: 1, volume_step: 1, calendar: CMES, commission_per_side: 0, price_range: [9, 3]}"
    )

    with pytest.raises(ConfigurationError, match="lower price first"):
        load_instruments(path)


def test_price_that_changes_its_unit_midway_is_named_where_it_jumps(day: pd.DataFrame, es: Instrument) -> None:
    half = len(day) // 2
    later = day.assign(**{name: np.where(np.arange(len(day)) < half, day[name], day[name] * 10) for name in PRICES})

    finding = found(later, es)["price_jump"]

    assert f"at {day['timestamp'].iloc[half]:%Y-%m-%d %H:%M} UTC" in finding.message


def test_series_of_two_markets_in_turn_is_detected_by_its_swings(day: pd.DataFrame, es: Instrument) -> None:
    half = np.arange(len(day)) % 2 == 0
    turns = day.assign(**{name: np.where(half, day[name], day[name] * 3) for name in PRICES})

    assert found(turns, es)["price_jump"].message.startswith(f"the price jumps {len(day) - 1} times, first ")


def test_price_far_off_after_a_long_gap_is_not_a_finding(es: Instrument) -> None:
    early = flat_bars(pd.date_range("2020-05-04 14:30", periods=50, freq="5min", tz="UTC"), 2800.0)
    late = flat_bars(pd.date_range("2025-05-05 14:30", periods=50, freq="5min", tz="UTC"), 5700.0)

    assert "price_jump" not in found(pd.concat([early, late]).assign(contract="X"), es)


@pytest.mark.parametrize(
    ("offset", "every", "severity", "tick"), [(0.0034, 1, "warning", "0.0001"), (0.005, 5, "note", "0.001")]
)
def test_stock_prices_off_the_tick_are_accepted_and_counted(
    offset: float, every: int, severity: str, tick: str
) -> None:
    spy = find_instrument("SPY")
    bars = flat_bars(pd.date_range("2024-02-20 14:30", periods=100, freq="1min", tz="UTC"), 507.0)
    bars.loc[::every, "high"] += offset

    finding = found(bars, spy)["off_tick"]

    assert finding.severity == severity
    assert finding.message.startswith(f"{100 // every} of 100 bars")
    assert f"'tick_size: {tick}'" in finding.message
    assert "another instrument" not in finding.message


def test_futures_prices_off_the_tick_are_asked_about(day: pd.DataFrame, es: Instrument) -> None:
    adjusted = day.assign(**{name: (day[name] * 0.98765).round(4) for name in PRICES})

    assert "adjusted prices, or another instrument's" in found(adjusted, es)["off_tick"].message


def test_volumes_with_thousands_read_as_decimals_are_reported(es: Instrument) -> None:
    times = pd.date_range("2023-05-01 14:30", periods=60, freq="1min", tz="UTC")
    bars = flat_bars(times).assign(volume=[630.0, 1.029] * 30)

    assert found(bars, es)["thousands"].severity == "warning"
    assert found(bars.assign(volume=[1630.0, 1.029] * 30), es)["off_step_volume"].severity == "note"
    assert found(bars.assign(volume=[630.0, 1.02915] * 30), es)["off_step_volume"].severity == "note"
