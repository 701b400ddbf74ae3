"""Numbers with their units, as a reader wants them in a table."""

import math

__all__ = ["format_interval", "format_value"]

_COUNTS = ("trades", "sessions", "orders", "days", "minutes")


def format_value(value: float, unit: str, *, digits: int | None = None) -> str:
    """A value with its unit: ``$1,234``, ``12.3 %``, ``0.25 R``, ``354``; ``–`` where there is none.

    The minus is the true sign, infinity ``∞``. Counts, days and minutes are whole, and their unit is left to the
    row's name. ``digits`` sets the decimals; by default unit and size do.
    """
    return _shown(value, unit, _digits(value, unit) if digits is None else digits)


def format_interval(low: float, high: float, unit: str, *, value: float = math.nan, digits: int | None = None) -> str:
    """An interval as ``low to high``, without the unit but for money and percent; empty where there is none.

    Both ends have as many decimals as ``value`` is shown with, or without it those of the end further from 0, or
    ``digits``.
    """
    if math.isnan(low) or math.isnan(high):
        return ""
    finite = [end for end in (low, high) if math.isfinite(end)]
    of = value if math.isfinite(value) and value else max(finite, key=abs, default=0.0)
    digits = _digits(of, unit) if digits is None else digits
    ends = [_shown(end, unit, digits) for end in (low, high)]
    if unit not in ("$", "%"):
        ends = [end.removesuffix(f" {unit}") for end in ends]
    return f"{ends[0].removesuffix(' %')} to {ends[1]}"


def _shown(value: float, unit: str, digits: int) -> str:
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    # Whole numbers are rounded as by hand, so that lines that add up are seen to.
    size = f"{abs(value):,.{digits}f}" if digits else f"{math.floor(abs(value) + 0.5):,}"
    # What is shown as zero carries no minus.
    sign = "−" if value < 0 and any(digit in "123456789" for digit in size) else ""
    if unit == "$":
        return f"{sign}${size}"
    return f"{sign}{size}" if unit in _COUNTS else f"{sign}{size} {unit}".rstrip()


def _digits(value: float, unit: str) -> int:
    """Decimals a value is shown with."""
    size = abs(value)
    if unit in _COUNTS or not math.isfinite(size):
        return 0
    if unit == "%":
        return 1
    if unit == "$":
        return 0 if size >= 999.5 else 2
    if size >= 99.5:
        return 0
    # Two significant digits of what would else be shown as zero, such as a hundredth of a coin.
    return 2 if size >= 0.01 or not size else min(12, 1 - math.floor(math.log10(size)))
