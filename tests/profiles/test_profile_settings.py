"""A profile's settings as one object, and as the keyword arguments of every function that makes profiles."""

import inspect
from typing import Any

import pytest

from pipeline.errors import ConfigurationError
from pipeline.market import Instrument
from pipeline.profiles import AreaRule, ProfileSettings, RowRule, session_profiles
from pipeline.profiles.settings import ProfileOptions
from pipeline.strategy import HistorySettings

OTHER = ProfileSettings("eth", RowRule("tpo", 3, 15), AreaRule(6800, 1))


def test_options_of_settings_make_the_same_settings() -> None:
    assert ProfileSettings.of() == ProfileSettings()
    assert ProfileSettings.of(**OTHER.options) == OTHER
    assert OTHER.options == {
        "hours": "eth",
        "allocation": "tpo",
        "ticks_per_row": 3,
        "tpo_minutes": 15,
        "value_area_basis_points": 6800,
        "expansion_rows": 1,
    }


def test_options_and_defaults_are_those_of_session_profiles() -> None:
    parameters = inspect.signature(session_profiles).parameters
    keywords = {name: one.default for name, one in parameters.items() if one.kind is one.KEYWORD_ONLY}
    keywords.pop("device")

    assert keywords == ProfileSettings().options
    assert set(keywords) == set(ProfileOptions.__annotations__)


def test_profile_of_history_settings_has_the_instruments_rows_unless_set(es: Instrument) -> None:
    coarse = es.model_copy(update={"ticks_per_row": 8})
    settings = HistorySettings(hours="eth", allocation="close", value_area_basis_points=6100, expansion_rows=1)

    assert settings.profile(coarse) == ProfileSettings("eth", RowRule("close", 8), AreaRule(6100, 1))
    assert settings.model_copy(update={"ticks_per_row": 2}).profile(coarse).rows.ticks_per_row == 2


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"value_area_basis_points": 0}, "value_area_basis_points is 0"),
        ({"value_area_basis_points": True}, "value_area_basis_points is True"),
        ({"expansion_rows": 1.5}, "expansion_rows is 1.5"),
        ({"allocation": "open"}, "allocation is 'open'"),
        ({"ticks_per_row": 0}, "ticks_per_row is 0"),
        ({"tpo_minutes": 1441}, "tpo_minutes is 1441"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        ProfileSettings.of(**wrong)


def test_settings_of_an_unknown_name_are_refused() -> None:
    unknown: dict[str, Any] = {"value_area": 7000}
    with pytest.raises(TypeError, match="value_area"):
        ProfileSettings.of(**unknown)
