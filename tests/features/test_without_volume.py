"""Features of a market whose data has no volume, on profiles of time."""

import pytest

from pipeline.features import FeatureInputs, build_features
from pipeline.market import simulate_market
from pipeline.market.instruments import Instrument
from pipeline.strategy import HistorySettings


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_features_of_bars_without_volume_are_missing_without_a_warning(es: Instrument) -> None:
    bars = simulate_market(es, "2021-01-04", 40, 5, bar="15min").assign(volume=0.0)
    inputs = FeatureInputs.from_bars(bars, es, HistorySettings(allocation="tpo"))

    features = build_features(inputs)

    assert features["up_down_sessions_10"].isna().all()
    assert features["relative_volume_20"].isna().all()
    assert features["value_area_width_ticks"].notna().all()
