"""The blocking check that profiles hold exactly what their bars do, in volume and in time."""

from typing import Any

import pandas as pd
import pytest

from assets.volume_profiles import _wrong_mass
from pipeline.market.instruments import Instrument
from pipeline.research import make_profiles
from pipeline.strategy import HistorySettings
from tests.profiles.frames import frame

DAYS = ("2024-03-05", "2024-03-06", "2024-03-07")


def _bars(volume: int) -> pd.DataFrame:
    rows = [(100, 108, 104, volume), (103, 109, 105, 2 * volume), (99, 101, 100, volume)]
    days = [frame(rows, start=f"{day} 14:30Z", minutes=20) for day in DAYS]
    bars = pd.concat(days, ignore_index=True)
    # Two contracts in the middle session.
    return bars.assign(contract=["ESH24"] * 4 + ["ESM24"] * 5)


@pytest.mark.parametrize(
    ("chosen", "volume"),
    [({}, 7), ({"ticks_per_row": 4}, 7), ({"allocation": "tpo", "ticks_per_row": 2}, 7), ({"allocation": "tpo"}, 0)],
)
@pytest.mark.parametrize("hours", ["rth", "eth"])
def test_profile_mass_names_the_session_that_is_off(
    chosen: dict[str, Any], volume: int, hours: Any, es: Instrument
) -> None:
    bars, strategy = _bars(volume), HistorySettings(hours=hours, **chosen)
    profiles = make_profiles(bars, es, strategy)
    assert len(profiles) == 3

    assert _wrong_mass(bars, profiles, es, strategy) == []

    changed = profiles.assign(volume=profiles["volume"] + [0, 1, 0])
    assert _wrong_mass(bars, changed, es, strategy) == ["2024-03-06"]
    if volume:
        assert _wrong_mass(bars, profiles.iloc[1:], es, strategy) == ["2024-03-05"]
