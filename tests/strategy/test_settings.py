import pytest

from pipeline.errors import ConfigurationError
from pipeline.strategy import HistorySettings, TradingRules


def test_settings_defaults_are_the_contracts():
    settings = HistorySettings()

    assert (settings.trend_window, settings.direction_window) == (20, 252)
    assert (settings.calm_short, settings.calm_long, settings.atr_window) == (5, 20, 14)
    assert (settings.hours, settings.allocation, settings.value_area_basis_points) == ("rth", "uniform", 7000)
    assert settings.memory == 253


def test_settings_column_names_carry_their_windows():
    settings = HistorySettings(atr_window=10, calm_short=3, calm_long=9)

    assert settings.atr_column == "atr_10"
    assert settings.volatility_columns == ("volatility_3", "volatility_9")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"trend_window": 2}, r"^history setting trend_window is 2: .* greater than or equal to 3$"),
        ({"direction_long": 0.4}, r"^strategy setting direction_long is 0\.4: "),
        ({"hours": "day"}, r"^history setting hours is 'day': .*'rth' or 'eth'$"),
        ({"stop_atr_factor": float("nan")}, r"^strategy setting stop_atr_factor is nan: "),
        ({"min_stop_ticks": 0}, r"^strategy setting min_stop_ticks is 0: "),
        ({"calm_short": 20}, r"^history setting calm_short is 20; it must be below calm_long, 20$"),
        ({"trend_windw": 5}, r"^strategy setting trend_windw is unknown; .*; did you mean trend_window\?$"),
        (
            {"confidence_weights": {"calm": 0.5}},
            r"^strategy setting confidence_weights: the confidence weights add up to 1\.35; they must ",
        ),
    ],
)
def test_settings_impossible_value_names_the_setting(values, message):
    with pytest.raises(ConfigurationError, match=message):
        TradingRules.of(**values)


def test_settings_are_frozen():
    with pytest.raises(ValueError, match="frozen"):
        HistorySettings().trend_window = 30
