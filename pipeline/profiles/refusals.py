"""What is refused of a profile, in words."""

from collections.abc import Callable

from pipeline.errors import DataError
from pipeline.profiles import kernels
from pipeline.profiles.kernels import MAX_STEPS, MAX_TICKS, MICRO_LOTS

__all__ = ["raise_for", "too_much", "too_wide"]


def too_much(name: str) -> DataError:
    """The error of volume beyond what is summed exactly; ``name`` is what to call the bars."""
    return DataError(
        f"{name}: volume passes 2**62 micro-lots ({MAX_STEPS:,} volume steps of {MICRO_LOTS:,}), the largest exact "
        "sum; check the volume and the instrument's volume_step"
    )


def too_wide(name: str) -> DataError:
    """The error of prices too far apart for one profile."""
    return DataError(
        f"{name}: prices span more than {MAX_TICKS:,} ticks, so one of them must be wrong; "
        "check them and the instrument's tick_size"
    )


def raise_for(status: int, name: Callable[[], str]) -> None:
    """Raise the error of a kernel's status, if it is one."""
    if status == kernels.STATUS_OK:
        return
    if status == kernels.STATUS_TOO_MUCH:
        raise too_much(name())
    if status == kernels.STATUS_TOO_WIDE:
        raise too_wide(name())
    if status == kernels.STATUS_BACKWARD:
        raise DataError(f"{name()}: a bar's high is below its low; clean the bars before use")
    if status == kernels.STATUS_NEGATIVE:
        raise DataError(f"{name()}: a bar's volume is negative; clean the bars before use")
    raise AssertionError(f"kernel status {status} is unknown")
