"""A profile for the terminal."""

import datetime as dt

import pandas as pd

from pipeline.market.instruments import Instrument
from pipeline.market.sessions import Hours
from pipeline.profiles.chart import Ray, profile_chart
from pipeline.profiles.sessions import Allocation

__all__ = ["profile_text"]

_EIGHTHS = " ▏▎▍▌▋▊▉"


def profile_text(
    data: pd.DataFrame,
    instrument: Instrument,
    first: dt.date | str | None = None,
    last: dt.date | str | None = None,
    *,
    hours: Hours = "rth",
    lines: int = 40,
    width: int = 60,
    allocation: Allocation = "uniform",
    value_area_basis_points: int = 7000,
    expansion_rows: int = 2,
) -> str:
    """The profile of a session, or of several together, as plain text, the highest price on top.

    Parameters
    ----------
    data, instrument, first, last, hours
        As in :func:`pipeline.profiles.profile_figure`: the last session, the one of ``first``, or all from
        ``first`` to ``last``.
    allocation, value_area_basis_points, expansion_rows
        As in :func:`pipeline.profiles.session_profiles`.
    lines
        Most rows to draw; ticks are put together to fit.
    width
        Characters of the longest bar.

    Returns
    -------
    str
        A heading and one line a row: price (the row's lowest tick), bar (full within the value area,
        light outside), mark. The nearest VPOCs above and below that were naked at the close
        (:func:`pipeline.profiles.naked_vpocs`) have a line of their own.

    Examples
    --------
    >>> import pandas as pd
    >>> from pipeline.market import load_instruments
    >>> bars = pd.DataFrame({
    ...     "timestamp": pd.to_datetime(["2024-03-05 14:30Z", "2024-03-05 14:35Z"]), "open": [25.0, 25.25],
    ...     "high": [25.5, 25.25], "low": [25.0, 25.25], "close": [25.25, 25.25], "volume": [30, 40]})
    >>> print(profile_text(bars, load_instruments()["ES"], width=10))
    ES  volume 70  VPOC 25.25  value area 25.25 to 25.25 (71.4 %)
    25.50  ░░
    25.25  ██████████ ◄ VPOC VAH VAL
    25.00  ░░
    """
    chart = profile_chart(
        data,
        instrument,
        first,
        last,
        hours=hours,
        composite=0,
        allocation=allocation,
        value_area_basis_points=value_area_basis_points,
        expansion_rows=expansion_rows,
        most_rows=lines,
    )
    drawn = chart.own
    area, size, price = drawn.area, drawn.ticks_per_row, chart.price
    volume = drawn.steps.sum() * instrument.volume_step
    heading = (
        f"{instrument.symbol}  volume {volume:,.10g}  VPOC {price(area.vpoc)}  "
        f"value area {price(area.val)} to {price(area.vah)} ({area.held / area.total:.1%})".replace("%", " %")
    )
    if size > 1:
        heading += f"  rows of {size} ticks"
    labels = [price(int(bottom)) for bottom in drawn.bottoms]
    naked = sorted((ray for ray in chart.rays if ray.naked), key=lambda ray: ray.tick)
    levels = [("VPOC", area.vpoc), ("VAH", area.vah), ("VAL", area.val)]
    levels += [("naked", ray.tick) for ray in naked if drawn.low <= ray.tick <= drawn.high]
    above = [ray for ray in naked if ray.tick > drawn.high][:1]
    below = [ray for ray in naked if ray.tick < drawn.low][-1:]
    margin = max(map(len, [*labels, *(price(ray.tick) for ray in (*above, *below))]))

    def beyond(ray: Ray) -> str:
        return f"{price(ray.tick):>{margin}}  ┄ naked VPOC of {ray.session.date()}, age {ray.age}"

    text = [heading, *map(beyond, above)]
    for row in range(len(labels) - 1, -1, -1):
        bottom = int(drawn.bottoms[row])
        marks = [name for name, tick in levels if bottom <= tick < bottom + size]
        share = float(drawn.steps[row] / drawn.steps.max())
        bar = _bar(share * width) if drawn.inside[row] else "░" * round(share * width)
        mark = f" ◄ {' '.join(marks)}" if marks else ""
        text.append(f"{labels[row]:>{margin}}  {bar:<{width}}{mark}".rstrip())
    return "\n".join([*text, *map(beyond, below)])


def _bar(length: float) -> str:
    eighths = round(length * 8)
    return ("█" * (eighths // 8) + _EIGHTHS[eighths % 8]).rstrip()
