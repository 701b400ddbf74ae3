"""Checks of the numbers and durations that say how rows are cut into folds."""

import datetime as dt
from typing import Any

import numpy as np

from pipeline.errors import ConfigurationError
from pipeline.learning.intervals import duration

__all__ = ["Duration", "check_walk_forward", "whole_number", "window_rows"]

Duration = str | dt.timedelta | np.timedelta64


def whole_number(value: Any, name: str, least: int) -> int:
    """Return a count; ``name`` is the setting's, for the ``ConfigurationError`` where it is less than ``least``."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise ConfigurationError(f"{name} is {value!r}; give a whole number, {least} or more")
    return int(value)


def window_rows(train_size: int | Duration | None) -> int | None:
    """Return the rows of a rolling training window; None where it has no end, or a duration.

    Raises
    ------
    ConfigurationError
        For less than one row, and for what is no duration above zero.
    """
    if isinstance(train_size, int | np.integer):
        return whole_number(train_size, "train_size", 1)
    if train_size is not None and duration(train_size, "train_size") == 0:
        raise ConfigurationError(f"train_size is {train_size!r}; give a duration above zero, or rows")
    return None


def check_walk_forward(n_splits: int, embargo: Duration, train_size: int | Duration | None) -> None:
    """Refuse settings that :class:`~pipeline.learning.PurgedWalkForward` can't cut by, with its own error."""
    whole_number(n_splits, "n_splits", 1)
    duration(embargo, "embargo")
    window_rows(train_size)
