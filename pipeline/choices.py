"""A backtest of one's settings is a look at the market as much as a trial of a study, and counted as one.

Whoever edits ``settings.yaml`` and runs again, fifty times, has tried fifty strategies. What was chosen are the
settings and the period: the same ones on data that has grown by a night are no further choice, and show what they show
on the latest; on other years they are (:meth:`pipeline.tuning.ledger.Ledger.record`). Nor are facts about the market
(the instrument's ticks and commission, the bars themselves): putting one right is no choice among strategies. Changes
to the code can't be known and don't count.
"""

import datetime as dt
import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from pipeline.market import Instrument
from pipeline.performance import AccountResult, sharpe_ratio
from pipeline.settings import Settings, flat_settings
from pipeline.tuning.look import Look
from pipeline.tuning.targets import StudyTarget

__all__ = ["backtest_look", "desk_choices", "model_choices", "order_choices", "rule_choices"]


def rule_choices(settings: Settings, instrument: Instrument) -> dict[str, Any]:
    """Every setting that the backtest of the rule signals depends on, flat, defaults included.

    All candidates traded without gates are the yardstick that rules and models are held against. Nothing is chosen by
    their backtest, and each setting that changes it changes that of the rules, which is counted: it is no look itself.
    """
    return {
        **flat_settings(settings.rules.flat, "strategy."),
        "strategy.ticks_per_row": settings.history.row_rule(instrument).ticks_per_row,  # the instrument's, where unset
        **flat_settings(settings.account_for(instrument).model_dump(mode="json"), "account."),
        "off_tick": settings.off_tick,
    }


def order_choices(settings: Settings, instrument: Instrument, orders: pd.DataFrame) -> dict[str, Any]:
    """Settings that a backtest of a user's own orders depends on: the orders, by content, account and hours."""
    written = orders.to_csv(index=False, lineterminator="\n").encode()
    return {
        "orders": hashlib.sha256(written).hexdigest(),
        **flat_settings(settings.account_for(instrument).model_dump(mode="json"), "account."),
        "hours": settings.history.hours,
        "off_tick": settings.off_tick,
    }


def model_choices(settings: Settings, instrument: Instrument, family: str, *, tuned: str = "") -> dict[str, Any]:
    """Every setting that the backtest of a model family's signals depends on, flat, defaults included.

    Parameters
    ----------
    settings, instrument
        Of the run.
    family
        Of the model.
    tuned
        How it was tuned inside each fold, in words; empty where it was not. The trials made there are looks of their
        own, at the sessions that they saw.
    """
    selection = settings.models
    return {
        **rule_choices(settings, instrument),
        **flat_settings(selection.model(family, settings.seed).settings.model_dump(mode="json"), "model."),
        **{name: getattr(selection, name) for name in ("weights", "splits", "embargo", "train_size", "threshold")},
        "require_rules": selection.require_rules,
        "seed": settings.seed,
        "volatility_index": settings.volatility_index is not None,  # wherever the file lies
        **({"leave_out": sorted(settings.features.leave_out)} if settings.features.leave_out else {}),
        "tuned": tuned,
        **(flat_settings(_searched(settings, family), "tuning.") if tuned else {}),
    }


def desk_choices(settings: Settings, books: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Every setting that a desk's backtest depends on: its limits and, each as a hash, its books' choices.

    Parameters
    ----------
    settings
        With the desk.
    books
        From :func:`rule_choices` or :func:`model_choices`, by book, in the desk's order.
    """
    hashed = {
        f"books.{name}": hashlib.sha256(json.dumps(choices, sort_keys=True, default=str).encode()).hexdigest()[:16]
        for name, choices in books.items()
    }
    limits = settings.desk.model_dump(mode="json", exclude={"books"})
    return {"order": list(books), **hashed, **flat_settings(limits, "desk.")}


def _searched(settings: Settings, family: str) -> dict[str, Any]:
    """Settings of the search for a family's hyperparameters inside the folds, beside what ``tuned`` covers."""
    how = settings.tuning.model_dump(include={"sampler", "pruner", "seconds", "patience", "startup_trials"})
    return {**how, "space": settings.tuning.space(StudyTarget.of(family)).fingerprint()}


def backtest_look(
    symbol: str, name: str, choices: Mapping[str, Any], result: AccountResult, *, book: str = ""
) -> Look | None:
    """A backtest as a trial of the ledger; None where it has no session.

    Parameters
    ----------
    symbol
        Market, such as ``ES``.
    name
        ``rules``, ``orders``, ``desk``, or the model family.
    choices
        From :func:`rule_choices`, :func:`order_choices`, :func:`model_choices` or :func:`desk_choices`.
    result
        What came of them.
    book
        Whose it is; by default the market's own.
    """
    returns = result.daily_returns
    if returns.empty:
        return None
    sharpe = sharpe_ratio(returns, periods_per_year=result.periods_per_year)
    target = f"backtest/{name}"
    return Look(
        study=f"{book or symbol}/{target}",
        number=0,  # these distinguish trials of other settings
        symbol=symbol,
        target=target,
        first=returns.index[0],
        last=returns.index[-1],
        params=choices,
        state="complete",
        values=() if math.isnan(sharpe) else (sharpe,),
        finished=dt.datetime.now(tz=dt.UTC),
        returns=returns,
    )
