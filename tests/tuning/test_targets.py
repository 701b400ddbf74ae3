"""Names of studies, what they search, and their settings."""

import pytest

from pipeline.errors import ConfigurationError
from pipeline.learning.models import families
from pipeline.search_space import Choice
from pipeline.tuning.settings import TuningSettings
from pipeline.tuning.targets import StudyTarget, study_targets


@pytest.mark.parametrize("name", study_targets())
def test_target_of_a_name_is_called_by_it(name: str) -> None:
    assert StudyTarget.of(name).name == name


def test_targets_are_each_tunable_family_the_strategy_and_both_together() -> None:
    tunable = [name for name in families() if name != "constant"]

    assert study_targets() == (
        *tunable,
        "strategy",
        *(f"strategy@{name}" for name in tunable),
        *(f"strategy+{name}" for name in tunable),
    )


@pytest.mark.parametrize("name", ["strategy@", "strategy+zebra", "zebra"])
def test_target_of_an_unknown_family_lists_those_there_are(name: str) -> None:
    with pytest.raises(ConfigurationError, match=r"there is no model family .* attention, constant"):
        StudyTarget.of(name)


@pytest.mark.parametrize("name", ["constant", "strategy@constant", "strategy+constant"])
def test_target_of_a_family_without_anything_to_tune_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="constant has nothing to tune"):
        StudyTarget.of(name)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"targets": ["strategy", "strategy"]}, "tuning.targets repeats a name"),
        ({"nested": ["constant"]}, "constant has nothing to tune"),
        ({"nested": ["strategy"]}, "tuning.nested: strategy is not a model family"),
        ({"targets": ["strateggy"]}, "tuning.targets: there is no model family 'strateggy'.*strategy@<family>"),
        ({"objectives": {"strategy": ["log_loss"]}}, "tuning.objectives: log_loss can't judge strategy"),
        ({"objectives": {"lightgbm_r": "log_loss"}}, "tuning.objectives: log_loss can't judge lightgbm_r"),
        ({"objectives": {"lightgbm": ["fun"]}}, "there is no objective 'fun'"),
        ({"objectives": {"lightgbm": ["net", "drawdown"]}, "nested": ["lightgbm"]}, "give it one objective"),
        (
            {"spaces": {"lightgbm": {"leaves": 3}}},
            "tuning.spaces.lightgbm: the search space has no setting 'leaves'",
        ),
        ({"spaces": {"logistic": {"strength": None, "winsorize": None, "signed_log": None}}}, "nothing to tune"),
        ({"spaces": {"lightgbm": {"num_leaves": {"low": 40, "high": 20}}}}, "a search from 40 to 20 is empty"),
        ({"trials": 0}, "greater than or equal to 1"),
        ({"rounds": 3}, "rounds"),
    ],
)
def test_settings_that_are_impossible_are_refused_with_a_sentence(given: dict, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        TuningSettings(**given)


def test_settings_narrow_the_space_of_their_target_alone() -> None:
    settings = TuningSettings(spaces={"strategy": {"hours": ["rth"], "trend_window": None}})

    narrowed = settings.space(StudyTarget.of("strategy"))
    assert narrowed["hours"] == Choice(["rth"])
    assert "trend_window" not in narrowed
    assert "trend_window" in settings.space(StudyTarget.of("strategy+logistic"))


def test_objectives_by_default_are_log_loss_of_probabilities_and_money_of_anything_else() -> None:
    settings = TuningSettings(objectives={"mlp": "net"})

    names = ("lightgbm", "lightgbm_r", "mlp", "strategy")
    found = {name: settings.objectives_of(StudyTarget.of(name)) for name in names}
    assert found == {
        "lightgbm": ("log_loss",),
        "lightgbm_r": ("sharpe_low",),
        "mlp": ("net",),
        "strategy": ("sharpe_low",),
    }
