"""Settings of every kind name what is wrong as the user wrote it."""

from typing import Any, ClassVar

import pytest
from pydantic import Field, field_validator, model_validator

from pipeline.errors import ConfigurationError
from pipeline.frozen_settings import FrozenSettings, SettingError


class Wheel(FrozenSettings):
    """Settings within others."""

    spokes: int = Field(default=8, ge=3)


class Own(FrozenSettings):
    """Settings whose errors bear a name of their own."""

    called: ClassVar[str] = "brake setting"

    force: float = Field(default=1.0, gt=0)


class Cart(FrozenSettings):
    """Settings of a cart."""

    owner: str
    load: float | dict[str, float] = 1.0
    top_speed: int = 5
    wheels: tuple[Wheel, ...] = (Wheel(), Wheel())
    brake: Own = Own()

    @field_validator("top_speed")
    @classmethod
    def _slow(cls, value: int) -> int:
        if value > 9:
            raise ValueError(f"top speed {value} is too fast for a cart; give 9 or less")
        if value < 0:
            raise ValueError("give a number from 0 to 9")
        return value

    @model_validator(mode="after")
    def _wheels_carry(self) -> "Cart":
        if len(self.wheels) < 2:
            raise ConfigurationError("a cart has two wheels or more")
        return self


@pytest.mark.parametrize(
    ("given", "location", "sentence"),
    [
        ({"owner": "a", "load": "x"}, ("load",), "load is 'x': Input should be a valid number"),
        ({"owner": "a", "wheels": [{}, {"spokes": 2}]}, ("wheels", 1, "spokes"), "wheels.1.spokes is 2: Input should"),
        ({"owner": "a", "wheels": [{"spoks": 2}]}, ("wheels", 0, "spoks"),
         "setting wheels.0.spoks is unknown; choose from spokes; did you mean spokes?"),
        ({"owner": "a", "brake": {"force": 0}}, ("brake", "force"), "brake setting force is 0: Input should"),
        ({"owner": "a", "top_speed": 20}, ("top_speed",), "top speed 20 is too fast for a cart; give 9 or less"),
        ({"owner": "a", "top_speed": -1}, ("top_speed",), "top_speed is -1: give a number from 0 to 9"),
        ({"owner": "a", "wheels": [{}]}, (), "a cart has two wheels or more"),
        ({}, ("owner",), "owner is missing; give it"),
        ({"ownr": "a"}, ("ownr",), "setting ownr is unknown; choose from owner, load, top_speed, wheels"),
    ],
)  # fmt: skip
def test_impossible_settings_name_the_key_what_was_given_and_what_is_expected(
    given: dict[str, Any], location: tuple[object, ...], sentence: str
) -> None:
    with pytest.raises(SettingError) as caught:
        Cart(**given)

    assert str(caught.value).startswith(sentence)
    assert caught.value.location == location


def test_error_of_settings_within_others_has_the_whole_name() -> None:
    with pytest.raises(SettingError) as caught:
        Wheel(spokes=1)

    assert str(caught.value.under("ES", 3)).startswith("ES.3.spokes is 1: ")
    assert caught.value.under("ES", 3).location == ("ES", 3, "spokes")


def test_settings_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Wheel().spokes = 9
