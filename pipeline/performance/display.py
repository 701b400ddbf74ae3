"""Numbers with their units, as a reader wants them in a table."""

import math

__all__ = ["format_interval", "format_value"]

_COUNTS = ("trades", "sessions", "orders", "days", "minutes")


def format_value(value: float, unit: str) -> str:
    """A value with its unit: ``$1,234``, ``12.3 %``, ``0.25 R``, ``354``; ``–`` where there is none.

    The minus is the true sign, infinity ``∞``. Counts, days and minutes are whole, and their unit is left to the
    row's name.
    """
    if math.isnan(value):
        return "–"
    return ("−" if _negative(value, unit) else "") + _text(abs(value), unit)


def format_interval(low: float, high: float, unit: str) -> str:
    """An interval as ``low to high``, without the unit but for money and percent; empty where there is none."""
    if math.isnan(low) or math.isnan(high):
        return ""
    if unit == "%" or unit in _COUNTS:
        return f"{format_value(low, unit).removesuffix(' %')} to {format_value(high, unit)}"
    shown = unit if unit == "$" else ""
    return f"{format_value(low, shown)} to {format_value(high, shown)}"


def _negative(value: float, unit: str) -> bool:
    # What is shown as zero carries no minus.
    return value < 0 and any(digit in "123456789∞" for digit in _text(-value, unit))


def _text(size: float, unit: str) -> str:
    if math.isinf(size):
        return "∞"
    if unit in _COUNTS:
        return f"{size:,.0f}"
    if unit == "%":
        return f"{size:,.1f} %"
    if unit == "$":
        return f"${size:,.0f}" if size >= 999.5 else f"${size:,.2f}"
    digits = f"{size:,.0f}" if size >= 99.5 else f"{size:,.2f}" if size >= 0.01 or not size else f"{size:.2g}"
    return f"{digits} {unit}".rstrip()
