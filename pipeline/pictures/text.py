"""A profile for the terminal."""

import datetime as dt
from functools import partial
from typing import Any, Unpack

import pandas as pd

from pipeline.market.instruments import Instrument
from pipeline.pictures.chart import ChartOptions, ProfileChart, Ray, profile_chart

__all__ = ["profile_text"]

_EIGHTHS = " ▏▎▍▌▋▊▉"
_BALANCE, _INSIDE = "│", "▌"


def profile_text(
    data: pd.DataFrame,
    instrument: Instrument,
    first: dt.date | str | None = None,
    last: dt.date | str | None = None,
    *,
    lines: int = 40,
    width: int = 60,
    **options: Unpack[ChartOptions],
) -> str:
    """The profile of a session, or of several together, as plain text, the highest price on top.

    Parameters
    ----------
    data, instrument, first, last
        As in :func:`pipeline.pictures.profile_figure`: the last session, the one of ``first``, or all from
        ``first`` to ``last``.
    lines
        Most rows to draw; rows are put together to fit.
    width
        Characters of the longest bar.
    **options
        See :class:`pipeline.pictures.chart.ChartOptions`; there is no composite.

    Returns
    -------
    str
        A heading and one line a row: price (the row's lowest tick), bar (full within the value area,
        light outside), mark. A session's TPOs are letters (:func:`pipeline.pictures.letters.tpo_letters`), with ``│``
        at the rows of the initial balance and ``▌`` at those of the value area. The nearest VPOCs above and below that
        were naked at the close (:func:`pipeline.profiles.naked_vpocs`) have a line of their own.

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
    of_text: dict[str, Any] = {"composite": 0, "most_rows": lines, "most_letters": lines}
    chart = profile_chart(data, instrument, first, last, **{**options, **of_text})
    drawn = chart.own
    area, size = drawn.area, drawn.ticks_per_row
    price = partial(chart.price, thousands="")  # as an order takes it
    heading = (
        f"{instrument.symbol}  {chart.counted} {drawn.total:,.10g}  VPOC {price(area.vpoc)}  "
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

    room = width if drawn.letters is None else max(map(len, drawn.letters)) + 2
    text = [heading, *map(beyond, above)]
    for row in range(len(labels) - 1, -1, -1):
        bottom = int(drawn.bottoms[row])
        marks = [name for name, tick in levels if bottom <= tick < bottom + size]
        bar = _letters(chart, row) if drawn.letters is not None else _bar(chart, row, width)
        mark = f" ◄ {' '.join(marks)}" if marks else ""
        text.append(f"{labels[row]:>{margin}}  {bar:<{room}}{mark}".rstrip())
    text += map(beyond, below)
    if drawn.letters is not None:
        text.append(f"{'':>{margin}}  {_INSIDE} value area  {_BALANCE} initial balance  O open  # close")
    return "\n".join(text)


def _bar(chart: ProfileChart, row: int, width: int) -> str:
    drawn = chart.own
    length = float(drawn.lengths[row] / drawn.lengths.max()) * width
    if not drawn.inside[row]:
        return "░" * round(length)
    eighths = round(length * 8)
    return ("█" * (eighths // 8) + _EIGHTHS[eighths % 8]).rstrip()


def _letters(chart: ProfileChart, row: int) -> str:
    drawn = chart.own
    bottom = int(drawn.bottoms[row])
    balance = any(each.low < bottom + drawn.ticks_per_row and each.high >= bottom for each in chart.brackets)
    letters = drawn.letters[row] if drawn.letters is not None else ""
    return f"{_BALANCE if balance else ' '}{_INSIDE if drawn.inside[row] else ' '}{letters}"
