"""Prices as ticks and back."""

import pytest

from pipeline.market import load_instruments


@pytest.mark.parametrize("tick", [0.01, 0.03, 0.5, 5.0])
def test_instrument_copy_with_another_tick_counts_in_that_tick(tick: float) -> None:
    es = load_instruments()["ES"]
    assert es.to_ticks([4000.25]).tolist() == [16_001]

    copy = es.model_copy(update={"tick_size": tick})

    assert copy.to_ticks([30 * tick]).tolist() == [30]
    assert copy.to_prices([30]).tolist() == [30 * tick]
