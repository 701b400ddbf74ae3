"""Rows of the coming session's orders: each candidate taken or turned away, and what is still to be decided."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from pipeline.coming.finished import is_finished
from pipeline.coming.sizes import FIXED, SIZE_COLUMNS, with_sizes
from pipeline.coming.unusual import roll_notes, session_bounds, session_notes
from pipeline.coming.when import exchange_time
from pipeline.market import Hours, Instrument, next_session
from pipeline.market.bar_times import bar_ends
from pipeline.research import RULES, model_orders, model_strategy, orders_of
from pipeline.settings import Settings
from pipeline.strategy import Strategy, gate_columns
from pipeline.strategy.order_columns import ORDER_COLUMNS, TIME_COLUMNS

__all__ = ["ACTIONS", "coming_orders"]

ACTIONS = ("order", "none", "waits")
"""Whether a row is an order, none (a candidate turned away, or no candidate), or a decision still to come."""

_MINUTE = pd.Timedelta("1min")
_DAYS = ("session", "decided_on")
_TIMES = ("opens", "closes", "decides_at", *TIME_COLUMNS)
_TEXTS = ("by", "action", "type", "group", "size_reason", "why", "passed", "shut", "measures", "notes", "contract")
_COUNTS = ("side", "trail_ticks", "breakeven_ticks", "give_back_from_ticks", "max_bars", "quantity", FIXED)
_FIRST = ("by", "session", "opens", "closes", "decided_on", "decides_at", "action", "side", "type")
_PRICES = ("entry", "stop", "target")
_LAST = (*SIZE_COLUMNS, "why", "passed", "shut", "measures", "score", "threshold", "notes", "contract", "reference")


def coming_orders(
    signals: pd.DataFrame,
    history: pd.DataFrame,
    bars: pd.DataFrame,
    instrument: Instrument,
    settings: Settings,
    *,
    models: Mapping[str, pd.DataFrame] | None = None,
    untrained: Mapping[str, str] | None = None,
    equity: float | None = None,
) -> pd.DataFrame:
    """Return the orders for the coming session, and for the one that the bars end in.

    The latter is left out once they reach its end (:func:`~pipeline.coming.finished.is_finished`).

    Parameters
    ----------
    signals
        All candidates with their gates, of :func:`pipeline.strategy.make_signals`.
    history
        Session history that they were made from.
    bars
        Clean bars, two or more, as far as they are known.
    instrument, settings
        What trades; strategy, account and hours.
    models
        Signals of each trained model family, of :func:`pipeline.strategy.model_signals`.
    untrained
        Families without a usable model, and why.
    equity
        Of the account; its initial capital by default.

    Returns
    -------
    DataFrame
        One row or more for each of the rules and the model families; none at all where no session had volume.
        ``attrs["known_until"]`` is the end of the last bar. Times are UTC; ``side``, ``type``, prices and size are
        empty where there is no candidate.

        by
            ``Rule signals``, ``ML lightgbm``, …, as the backtests are called.
        session, opens, closes
            Whose hours they are for.
        decided_on, decides_at
            The session before, and when the decision falls.
        action
            One of ``ACTIONS``.
        side, type, entry, stop, target, …
            The order, with the columns of contract §6a that the strategy uses.
        quantity, risk, margin, size_reason
            From :func:`~pipeline.coming.with_sizes`; orders only.
        why
            Why there is no order.
        passed, shut, measures
            Gates by title, and their measures.
        score, threshold
            Of a model.
        notes
            What is unusual about the session.
        contract
            That the order is for; empty where bars name none.
        reference
            The price that distances were measured from: the entry, or the last price known to a market order.

    Raises
    ------
    DataError
        For fewer than two bars.
    """
    hours = settings.history.hours
    begins = pd.DatetimeIndex(bars["timestamp"]).as_unit("ns").asi8
    ends = bar_ends(begins)
    known_until = pd.Timestamp(ends[-1], tz="UTC")
    finished = history.empty or is_finished(history.index[-1], begins, ends, instrument, hours)
    books: dict[str, pd.DataFrame | str] = {RULES: signals}
    books |= {model_strategy(family): frame for family, frame in (models or {}).items()}
    books |= {model_strategy(family): why for family, why in (untrained or {}).items()}
    made: list[dict[str, Any]] = []
    for decided_on, session in _sessions(history, instrument, hours, finished=finished):
        opens, closes = session_bounds(session, instrument, hours)
        notes = session_notes(session, instrument, hours)
        notes += roll_notes(decided_on, session, history, bars, instrument)
        own_close = session_bounds(decided_on, instrument, hours)[1]
        if decided_on == history.index[-1] and not finished:
            last, close = (exchange_time(moment, instrument) for moment in (known_until, own_close))
            notes.append(f"decided on an unfinished session: its bars end at {last}, before its close at {close}")
        shared = {"session": session, "opens": opens, "closes": closes, "decided_on": decided_on}
        within = _decision_times(settings.strategy, opens, closes)
        times, waits = within or [own_close], [at for at in within if at > known_until]
        for by, book in books.items():
            for row in _rows(by, book, session, times, waits, settings.strategy, instrument):
                made.append({"by": by, **shared, **row, "notes": "; ".join(notes)})
    found = _framed(made)
    found.attrs["known_until"] = known_until.isoformat()
    return with_sizes(found, instrument, settings.account_for(instrument), hours, equity=equity)


def _sessions(
    history: pd.DataFrame, instrument: Instrument, hours: Hours, *, finished: bool
) -> Iterator[tuple[pd.Timestamp, pd.Timestamp]]:
    """Yield the sessions that orders are for, each after the one that it is decided on."""
    recent = pd.DatetimeIndex(history.index[-2:])
    following = next_session(recent, instrument, hours)
    if len(recent) > 1 and not finished and following[0] == recent[1]:
        yield recent[0], recent[1]
    if len(recent):
        yield recent[-1], following[-1]


def _decision_times(strategy: Strategy, opens: pd.Timestamp, closes: pd.Timestamp) -> list[pd.Timestamp]:
    return [opens + minute * _MINUTE for minute in strategy.decision_minutes() if opens + minute * _MINUTE < closes]


def _rows(
    by: str,
    book: pd.DataFrame | str,
    session: pd.Timestamp,
    times: list[pd.Timestamp],
    waits: list[pd.Timestamp],
    strategy: Strategy,
    instrument: Instrument,
) -> Iterator[dict[str, Any]]:
    """Yield the candidates of one book, then what it is still to decide, or that there is nothing."""
    if isinstance(book, str):
        yield {"decides_at": times[0], "action": "none", "why": book}
        return
    orders = orders_of(book, strategy)[RULES] if by == RULES else model_orders(book)
    own = book[book["session"] == session]
    gates = [name for name in gate_columns(book) if name != "rule_signal"]
    for label, candidate in own.iterrows():
        taken = label in orders.index
        said = _gates_said(candidate, gates, strategy)
        yield {
            "decides_at": candidate.get("decided_at", times[0]),
            "action": "order" if taken else "none",
            **_order(candidate, instrument),
            **said,
            "why": "" if taken else _turned_away(by, candidate, said["shut"]),
        }
    if waits:
        zones = dict.fromkeys((instrument.time_zone, "UTC"))
        clocks = [f"{', '.join(f'{at.tz_convert(zone):%H:%M}' for at in waits)} {zone}" for zone in zones]
        when = f"{clocks[0]} ({clocks[1]})" if len(clocks) > 1 else clocks[0]
        yield {"decides_at": waits[0], "action": "waits", "why": f"decides at {when}, on the session's bars until then"}
    elif own.empty:
        yield {"decides_at": times[-1], "action": "none", "why": "the strategy has no setup for this session"}


def _order(candidate: pd.Series, instrument: Instrument) -> dict[str, Any]:
    """Return a candidate as an order: side, type, prices, the strategy's other columns, contract."""
    given = {name: candidate[name] for name in ORDER_COLUMNS if name in candidate.index}
    if "quantity" in given:
        given[FIXED] = given.pop("quantity")
    if pd.isna(given.get("type")) or not given["type"]:
        given["type"] = "limit"
    side = int(candidate["side"])
    reference = instrument.to_ticks(candidate["stop"]) + side * int(candidate["stop_ticks"])
    return {
        **given,
        "side": side,
        **{name: candidate[name] for name in _PRICES},
        "contract": candidate.get("contract", ""),
        "reference": float(instrument.to_prices(reference)),
        **{name: candidate[name] for name in ("score", "threshold") if name in candidate.index},
    }


def _gates_said(candidate: pd.Series, gates: list[str], strategy: Strategy) -> dict[str, str]:
    """Return which gates let a candidate through and which did not, and the measures beside them."""
    said: dict[str, list[str]] = {"passed": [], "shut": [], "measures": []}
    for name in gates:
        value, title = candidate[name], strategy.gates.get(name, name.replace("_", " "))
        if isinstance(value, bool | np.bool_):
            said["passed" if value else "shut"].append(title)
        elif not pd.isna(value):
            said["measures"].append(f"{title} {value:.4g}")
    return {name: "; ".join(texts) for name, texts in said.items()}


def _turned_away(by: str, candidate: pd.Series, shut: str) -> str:
    rules = f"gates shut: {shut}" if shut else "the rules don't take it"
    if by == RULES:
        return rules
    score, threshold = candidate["score"], candidate["threshold"]
    if pd.isna(score):
        return "the model has not scored it"
    if not score >= threshold:
        return f"score {score:.3f} is below the threshold of {threshold:.3f}"
    return f"not a rule signal either, which models.require_rules asks for; {rules}"


def _framed(made: list[dict[str, Any]]) -> pd.DataFrame:
    """Return the rows as a frame: the same columns for every strategy, but for those of §6a that it uses."""
    own = [name for name in (*ORDER_COLUMNS, FIXED) if name != "type" and any(name in row for row in made)]
    columns = [*_FIRST, *_PRICES, *own, *_LAST]
    frame = pd.DataFrame(made).reindex(columns=columns)
    for name in columns:
        if name in _TIMES:
            frame[name] = pd.to_datetime(frame[name], utc=True).dt.as_unit("ns")
        elif name in _TEXTS:
            frame[name] = frame[name].astype(object).where(frame[name].notna(), "").astype("str")
        elif name in _COUNTS:
            frame[name] = frame[name].astype("Float64").astype("Int64")
        elif name not in _DAYS:
            frame[name] = frame[name].astype("float64")
    return frame
