"""Orders for the coming session, as they stood at the end of the last bar."""

import pandas as pd

from pipeline.coming import ComingSession, order_table
from pipeline.performance import format_value
from pipeline.reports.inputs import ReportInputs
from pipeline.reports.markup import bullets, cell, heads, kept, note, numbers, plain, row, table
from pipeline.reports.section import Section
from pipeline.reports.wording import counted

__all__ = ["SECTION"]

# The page may be opened on a later day: it says so itself, by the reader's clock.
_OVER = (
    "<script>(e=>{if(Date.now()>=+e.dataset.closes)e.hidden=false})(document.getElementById('session-over'))</script>"
)


def _html(inputs: ReportInputs) -> str:
    coming = inputs.coming
    if coming is None:
        return ""
    texts = order_table(coming)
    parts = [note(kept(_sentence(coming)), "overall"), note(plain(coming.standing)), _over(coming, inputs)]
    if coming.notes:
        parts.append(note("Unusual about this session:") + bullets(map(plain, coming.notes)))
    parts.append(_table(texts))
    parts.append(
        note(
            "The orders are those that the backtests of this page would place. Sizes are for an account of "
            f"{kept(format_value(inputs.account.initial_capital, inputs.currency))}, and for another one by "
            "<code>vpoc orders --equity</code>; losses include slippage and commission."
        )
    )
    return "".join(parts)


def _sentence(coming: ComingSession) -> str:
    size = coming.orders.loc[coming.orders["action"] == "order", "quantity"]
    held, none = int((size > 0).sum()), int((size == 0).sum())
    text = f"{counted(held, 'order') if held else 'No order'} for {coming.hours}."
    return f"{text} {none} more of size 0." if none else text


def _over(coming: ComingSession, inputs: ReportInputs) -> str:
    """Return a warning that shows itself once the session is over; a simulated one never takes place."""
    if inputs.simulated:
        return ""
    closes = int(coming.closes.timestamp() * 1000)
    text = f"This session is over. Orders for the next one: vpoc run --symbol {inputs.symbol}, on newer bars."
    return f'<p id="session-over" class="overall" data-closes="{closes}" hidden>{plain(text)}</p>{_OVER}'


def _table(texts: pd.DataFrame) -> str:
    body = []
    for each in texts.to_dict("records"):
        gates = (each[name] and f"{name}: {each[name]}" for name in ("passed", "shut"))
        said = [each["why"], each["terms"], *gates, each["measures"]]
        cells = [
            cell(plain(each["order"])),
            *numbers(*(each[name] for name in ("entry", "stop", "target", "size", "loss at stop", "margin"))),
            *numbers(each["score"]),
            cell(plain(". ".join(filter(None, said)))),
        ]
        body.append(row(plain(each["by"]), cells))
    left = ("Order", "Gates and reasons")
    head = heads(
        "By",
        "Order",
        "Entry",
        "Stop",
        "Target",
        "Size",
        "Loss at stop",
        "Margin",
        "Score",
        "Gates and reasons",
        left=left,
    )
    return table(head, body)


SECTION = Section(5, "coming", "Coming session", _html)
