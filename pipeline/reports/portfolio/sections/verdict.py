"""The verdict on the desk: what the intervals allow, in a sentence or two and a table."""

import math

from pipeline.performance import FEWEST_TRADES, diversification, format_value, verdict
from pipeline.reports.markup import kept, note
from pipeline.reports.portfolio.inputs import WHOLE, PortfolioInputs
from pipeline.reports.section import Section
from pipeline.reports.sections.verdict import SHARPE_CAPTION, verdict_table
from pipeline.reports.wording import counted

__all__ = ["SECTION"]

_CHOSEN = (
    "Intervals hold for books, sizes and limits fixed beforehand. If they were chosen after seeing results like these, "
    "the desk looks better here than it is; no count of trials is kept for a desk."
)


def _html(inputs: PortfolioInputs) -> str:
    deflated = _deflated(inputs)
    caption = (
        f"{SHARPE_CAPTION} The desk's is that of its returns; a book's, that of its daily P&L over all sessions of the "
        "desk."
    )
    if deflated:
        caption += " Deflated: the probability once the trials recorded on the book's market are allowed for."
    return (
        note(kept(_overall(inputs)), "overall")
        + "".join(note(kept(" ".join(sentences))) for sentences in (_more(inputs), [_CHOSEN]) if sentences)
        + verdict_table({WHOLE: inputs.summary, **inputs.summaries}, inputs.colors, deflated, caption)
    )


def _overall(inputs: PortfolioInputs) -> str:
    text = verdict(inputs.summary)
    if not inputs.simulated:
        return text
    where = "On partly simulated markets" if inputs.partly else "On a simulated market"
    return f"{where}: {text[0].lower()}{text[1:]}"


def _more(inputs: PortfolioInputs) -> list[str]:
    """Sentences on the account's ruin, on books that have an edge by themselves, and on how the books even out."""
    texts = []
    ruined = inputs.result.session_equity
    ruined = ruined[ruined <= 0]
    if len(ruined):
        texts.append(
            f"The account was ruined: its equity was {format_value(float(ruined.iloc[0]), inputs.currency)} at the end "
            f"of {ruined.index[0]:%Y-%m-%d}. Figures after that day describe nothing that could be traded."
        )
    if len(inputs.books) < 2:
        return texts
    judged = [book for book, table in inputs.summaries.items() if table.loc["trades", "value"] >= FEWEST_TRADES]
    above = [book for book in judged if inputs.summaries[book].loc["sharpe_ratio", "low"] > 0]
    if judged:
        ratio = "have Sharpe ratios whose intervals lie" if len(above) > 1 else "has a Sharpe ratio whose interval lies"
        texts.append(
            f"Of {counted(len(judged), 'book')} with at least {FEWEST_TRADES} trades, {len(above) or 'none'} {ratio} "
            "above zero."
        )
    found = diversification(inputs.result.daily_pnl)
    if not math.isnan(found.ratio):
        texts.append(
            f"The desk's daily P&L varies {100 * found.ratio:.0f} % as much as its books' added up; it would be "
            f"{100 * found.uncorrelated_ratio:.0f} % if no two books were correlated and 100 % if all moved in step."
        )
    return texts


def _deflated(inputs: PortfolioInputs) -> dict[str, float]:
    """Deflated Sharpe ratio in percent of the books that have one; none where nothing was chosen among several."""
    found = {
        book: 100 * looks.deflated_sharpe(inputs.result.daily_pnl[book])
        for book, looks in inputs.looks.items()
        if looks.count > 1 and inputs.summaries[book].loc["trades", "value"] >= FEWEST_TRADES
    }
    return {book: value for book, value in found.items() if not math.isnan(value)}


SECTION = Section(10, "verdict", "Verdict", _html)
