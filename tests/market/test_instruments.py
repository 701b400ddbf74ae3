"""Prices as ticks and back."""

from pathlib import Path

import pytest

from pipeline.errors import ConfigurationError
from pipeline.market import load_instruments


@pytest.mark.parametrize("tick", [0.01, 0.03, 0.5, 5.0])
def test_instrument_copy_with_another_tick_counts_in_that_tick(tick: float) -> None:
    es = load_instruments()["ES"]
    assert es.to_ticks([4000.25]).tolist() == [16_001]

    copy = es.model_copy(update={"tick_size": tick})

    assert copy.to_ticks([30 * tick]).tolist() == [30]
    assert copy.to_prices([30]).tolist() == [30 * tick]


def test_instruments_name_the_height_of_their_rows() -> None:
    heights = {symbol: instrument.ticks_per_row for symbol, instrument in load_instruments().items()}

    assert {symbol: height for symbol, height in heights.items() if height > 1} == {"BTCUSDT": 1000, "XRPUSDT": 100}


@pytest.mark.parametrize("height", [0, -4, 2.5])
def test_instrument_with_impossible_rows_names_the_field(tmp_path: Path, height: float) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        f"X: {{tick_size: 1, point_value: 1, volume_step: 1, calendar: 24/7, commission_per_side: 0, "
        f"ticks_per_row: {height}}}"
    )

    with pytest.raises(ConfigurationError, match=f"ticks_per_row is {height}"):
        load_instruments(path)
