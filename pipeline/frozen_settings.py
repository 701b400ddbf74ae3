"""One base for settings of every kind: frozen, unknown names refused, each mistake one sentence."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline.errors import ConfigurationError, PipelineError, did_you_mean

__all__ = ["FrozenSettings", "SettingError"]

_UNKNOWN = "is unknown; "


class SettingError(ConfigurationError):
    """A setting that is unknown or impossible.

    Attributes
    ----------
    location
        Keys and places that lead to it, as the user wrote them; empty where several settings together are impossible.
    message
        What was expected.
    """

    def __init__(
        self, called: str, location: Sequence[int | str], state: str, message: str, *, within: bool = False
    ) -> None:
        self.called, self.location, self.message = called, tuple(location), message
        self._state = state
        name = ".".join(map(str, location))
        if state:
            called = called or ("setting" if state == _UNKNOWN else "")
            super().__init__(f"{called} {name} {state}{message}".lstrip())
        else:  # a validator's own sentence, which names the setting
            super().__init__(f"{called} {name}: {message}".lstrip() if within and name not in message else message)

    def under(self, *outer: int | str, called: str = "") -> "SettingError":
        """The same error of a setting within others."""
        location = (*outer, *self.location)
        if self.called and self.location:  # a name of its own, which needs no place
            return SettingError(self.called, location, "", str(self))
        return SettingError(called, location, self._state, self.message, within=True)


class FrozenSettings(BaseModel):
    """Settings of one thing, from a file, the command line or code.

    Attributes
    ----------
    called
        What a setting of it is called in errors, where its name alone doesn't tell.

    Raises
    ------
    SettingError
        For a value that can't be and a name that there is not: names the setting, what was given and what is expected.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    called: ClassVar[str] = ""

    def __init__(self, /, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise _explained(type(self), error, values) from error


def _explained(cls: type[FrozenSettings], error: ValidationError, values: Mapping[str, Any]) -> SettingError:
    errors = error.errors()
    # A mistyped name comes before the one that is missing for it.
    first = next((each for each in errors if each["type"] == "extra_forbidden"), errors[0])
    location = _as_written(first["loc"], values)
    message = first["msg"].removeprefix("Value error, ")
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, SettingError):  # of settings within these
        return cause.under(*location, called=cls.called)
    if first["type"] == "extra_forbidden":
        known = list(cls.model_fields)
        meant = did_you_mean(str(location[-1]), known)
        return SettingError(cls.called, location, _UNKNOWN, f"choose from {', '.join(known) or 'none'}{meant}")
    if first["type"] == "missing":
        return SettingError(cls.called, location, "is missing; ", "give it")
    tells = cause is not None and str(location[-1]).replace("_", " ") in message.replace("_", " ") if location else True
    if tells or isinstance(cause, PipelineError):
        return SettingError(cls.called, location, "", message)
    return SettingError(cls.called, location, f"is {first['input']!r}: ", message)


def _as_written(location: Sequence[int | str], values: Any) -> tuple[int | str, ...]:
    """The keys that the user wrote, without what pydantic adds of its types."""
    keys: list[int | str] = []
    for part in location:
        if isinstance(values, Mapping):
            values = values.get(part)
        elif isinstance(values, list | tuple) and isinstance(part, int) and part < len(values):
            values = values[part]
        else:
            break
        keys.append(part)
    return tuple(keys)
