import numpy as np
import pytest

from pipeline.errors import ConfigurationError
from pipeline.features import FeatureRegistry, registered
from pipeline.features.registry import RESERVED_NAMES
from pipeline.strategy import HistorySettings


def declared(registry, name, **options):
    def compute(inputs, **arguments):
        return np.zeros(len(inputs.sessions))

    compute.__name__ = name
    return registry.feature(family="toy", warmup=options.pop("warmup", 1), description="Toy.", **options)(compute)


def test_feature_over_several_values_is_a_column_each():
    registry = FeatureRegistry()

    @registry.feature(
        family="toy",
        warmup=lambda sessions: sessions + 1,
        description="Over {sessions}.",
        over={"sessions": (5, 10), "unit": ("ticks",)},
        signed=True,
        needs=("vix",),
    )
    def push(inputs, sessions, unit):
        return np.full(3, sessions)

    features = registry.registered()
    assert list(features) == ["push_10_ticks", "push_5_ticks"]
    ten = features["push_10_ticks"]
    assert (ten.description, ten.signed, ten.needs, ten.mirror) == ("Over 10.", True, ("vix",), "push_10_ticks")
    assert ten.compute(None).tolist() == [10, 10, 10]


def test_feature_returns_the_function_as_it_was():
    registry = FeatureRegistry()

    def push(inputs):
        return inputs

    assert registry.feature(family="toy", warmup=1, description="Toy.")(push) is push


def test_warmup_as_a_function_gets_arguments_instrument_and_settings(es):
    registry = FeatureRegistry()
    declared(
        registry,
        "a",
        warmup=lambda sessions, settings, instrument: sessions + settings.atr_window,
        over={"sessions": (5,)},
    )

    assert registry.features["a_5"].sessions_needed(es) == 19
    assert registry.features["a_5"].sessions_needed(es, HistorySettings(atr_window=3)) == 8


def test_name_registered_twice_is_an_error():
    registry = FeatureRegistry()
    declared(registry, "push")

    with pytest.raises(ConfigurationError, match="feature push is registered twice, in tests"):
        declared(registry, "push")


@pytest.mark.parametrize("name", sorted(RESERVED_NAMES))
def test_name_of_a_label_or_candidate_column_is_an_error(name):
    with pytest.raises(ConfigurationError, match=f"feature {name} .* has the name of a label or candidate column"):
        declared(FeatureRegistry(), name)


def test_mirror_that_is_not_there_is_an_error():
    registry = FeatureRegistry()
    declared(registry, "upper", mirror="lower")

    with pytest.raises(ConfigurationError, match="feature upper names lower as its mirror"):
        registry.registered()


def test_mirror_that_does_not_mirror_back_is_an_error():
    registry = FeatureRegistry()
    declared(registry, "upper", mirror="lower")
    declared(registry, "lower")

    with pytest.raises(ConfigurationError, match="has to be a feature with the mirror upper"):
        registry.registered()


def test_registered_features_are_sorted_and_described():
    features = registered()

    assert list(features) == sorted(features)
    assert {"price", "volatility", "statistics", "market", "calendar"} <= {one.family for one in features.values()}
    for one in features.values():
        assert one.description.endswith("."), one.name
        assert one.family == one.compute_with.__module__.rpartition(".")[2], one.name


def test_registered_features_are_nobodys_label():
    assert RESERVED_NAMES.isdisjoint(registered())
