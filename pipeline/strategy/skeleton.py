"""The file that a new strategy begins with, and its test."""

__all__ = ["skeleton", "skeleton_test"]

_STRATEGY = '''"""{title}: say in a line what it trades."""

from collections.abc import Iterable
from typing import ClassVar

from pydantic import Field

from pipeline.search_space import Real, SearchSpace
from pipeline.strategy import Order, SessionStrategy, SessionView, StrategyParameters


class Parameters(StrategyParameters):
    """Each has a default; the bounds refuse what can't be."""

    stop_range: float = Field(default=0.5, gt=0, le=10)
    least_width: int = Field(default=16, ge=1)


class {class_name}(SessionStrategy):
    """Buys a break of the last session's value area upward, sells one downward."""

    name = "{name}"
    title = "{title}"
    description = "Say in a paragraph what it trades, and why that might work."
    source = "The book or paper it is from, or your own idea."
    Parameters = Parameters
    # What 'vpoc tune' may search: own parameters, and settings of the history such as trend_window.
    space = SearchSpace({{"stop_range": Real(0.2, 1.0)}})
    # Conditions that the rules ask for; a model sees the orders that they turn away too.
    gates: ClassVar[dict[str, str]] = {{"wide": "value area wide enough"}}
    parameters: Parameters

    # To decide within the session instead, 60 minutes after its open say, with the bars until then in day.today:
    # def decision_minutes(self) -> tuple[int, ...]:
    #     return (60,)

    def orders(self, day: SessionView) -> Iterable[Order]:
        """Return the orders for day.session; day.history ends with the session before, nothing later is there."""
        last = day.history.iloc[-1]
        reach = self.parameters.stop_range * last["atr_14"]
        if not reach > 0:  # there is no average true range before there are 14 sessions
            return
        tick = day.instrument.tick_size
        wide = last["vah"] - last["val"] >= self.parameters.least_width * tick
        for side, edge in ((1, last["vah"]), (-1, last["val"])):
            entry = edge + side * tick
            # Prices are on the tick: on_tick rounds to the nearest.
            stop = day.instrument.on_tick(entry - side * reach)
            if side * (entry - stop) <= 0:
                continue
            target = day.instrument.on_tick(entry + side * 2 * reach)
            yield Order(
                side=side, type="stop", entry=entry, stop=stop, target=target, group="break", gates={{"wide": wide}}
            )
'''

_TEST = '''"""Run it with: pytest {path}"""

import pandas as pd

from pipeline.market import find_instrument
from pipeline.strategy import SessionView, make_strategy

ES = find_instrument("ES")


def test_{name}_buys_above_and_sells_below_the_value_area() -> None:
    history = pd.DataFrame({{"val": [4000.0], "vah": [4010.0], "atr_14": [20.0]}}, index=[pd.Timestamp("2021-03-15")])
    day = SessionView(pd.Timestamp("2021-03-16"), None, history, pd.DataFrame(), ES)

    long, short = make_strategy("{name}").orders(day)

    assert (long.side, long.entry, long.stop, long.target) == (1, 4010.25, 4000.25, 4030.25)
    assert (short.side, short.entry, short.stop, short.target) == (-1, 3999.75, 4009.75, 3979.75)
    assert long.gates == {{"wide": True}}
'''


def skeleton(name: str) -> str:
    """Return the text of a strategy's file, which runs as it is."""
    title = name.replace("_", " ").capitalize()
    class_name = "".join(part.capitalize() for part in name.split("_"))
    return _STRATEGY.format(name=name, title=title, class_name=class_name)


def skeleton_test(name: str, path: str) -> str:
    """Return the text of its test."""
    return _TEST.format(name=name, path=path)
