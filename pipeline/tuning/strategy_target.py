"""The strategy's parameters: what a trial is judged by.

A trial is the very backtest that :func:`pipeline.research.run_research` makes of the same settings, by the same
:class:`~pipeline.replays.Replays`, which keep what the next trial has not changed.
"""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pandas as pd

from pipeline.backtest import Account
from pipeline.errors import ConfigurationError, DataError
from pipeline.market import Instrument
from pipeline.replays import Outcome, Replays
from pipeline.search_space import SearchSpace
from pipeline.strategy import TradingRules
from pipeline.tuning.objectives import Evidence, Judged, directions
from pipeline.tuning.request import StudyRequest
from pipeline.tuning.trials import Report

__all__ = ["StrategyTarget", "Traded", "by_section"]

Traded = Literal["fades", "rules", "scores", "scored_rules"]

_PLAIN = StudyRequest()
_THRESHOLD = "threshold"
_MODEL = "model"
_SCORE_COLUMNS = ("decided_on", "side", "score")


def by_section(params: Mapping[str, Any], family: str | None = None) -> dict[str, dict[str, Any]]:
    """Parameters by section of the settings: ``strategy``, ``account``, ``models``, as ``settings.yaml`` has them.

    Parameters
    ----------
    params
        The strategy's under their own names, others with their section before a dot; a model's hyperparameters as
        ``model.<name>``, which ``settings.yaml`` has under ``models: {parameters: {<family>: …}}``.
    family
        Whose hyperparameters; there may be none without it.

    Raises
    ------
    ConfigurationError
        For a name with another section before its dot.
    """
    sections: dict[str, dict[str, Any]] = {"strategy": {}, "account": {}, "models": {}}
    for section, values in SearchSpace.parted(params).items():
        if section == _MODEL and family is not None:
            sections["models"]["parameters"] = {family: values}
        elif section and section not in ("account", "models"):
            raise ConfigurationError(
                f"{section}.{next(iter(values))} is not a parameter of the strategy; only account and models have a dot"
            )
        else:
            sections[section or "strategy"].update(values)
    return {section: values for section, values in sections.items() if values}


class StrategyTarget:
    """Judges the strategy's parameters on all bars given; called by a study, trial by trial.

    Nothing is fitted in a trial, so all sessions given judge it; no session after them may. Nested tuning gives a
    target the bars before an outer fold only.

    Parameters
    ----------
    bars
        Clean bars, all that the study may know.
    instrument
        What trades.
    request
        Space (by default all of the strategy's, and the threshold where there are scores), objectives (the low end of
        the Sharpe ratio by default), and the threshold where that is not searched.
    rules, account
        Settings that are not searched.
    traded
        ``rules``: the rule signals; ``fades``: every candidate; ``scores``: candidates whose score is at or above
        ``models.threshold``; ``scored_rules``: those of them that are rule signals.
    scores
        A model's out-of-fold scores, columns decided_on, side, score; a candidate without one is not traded. Sessions
        before the first score, in which no parameters could have traded, are not judged.

    Attributes
    ----------
    space
        What is searched.
    sessions
        Those that a trial's money is counted on, the same for all: every session with bars, or from the first that was
        scored on.

    Raises
    ------
    ConfigurationError
        For an unknown objective or log loss, scores where none are asked for and the other way round, or scores
        without a threshold.
    DataError
        For bars or scores that can't be used.
    """

    def __init__(
        self,
        bars: pd.DataFrame,
        instrument: Instrument,
        request: StudyRequest = _PLAIN,
        *,
        rules: TradingRules | None = None,
        account: Account | None = None,
        traded: Traded = "rules",
        scores: pd.DataFrame | None = None,
    ) -> None:
        self.objectives = request.objectives or ("sharpe_low",)
        directions(self.objectives)
        if "log_loss" in self.objectives:
            raise ConfigurationError(
                "log_loss needs probabilities, and there are none here; choose net, sharpe_low or drawdown"
            )
        scored = traded in ("scores", "scored_rules")
        if scored != (scores is not None):
            raise ConfigurationError(
                f"trading {traded} needs a model's scores; give them"
                if scored
                else f"a model's scores are given and {traded} are traded; trade scores or scored_rules"
            )
        self._rules = rules or TradingRules()
        whole = self._rules.strategy.space
        if scored:
            whole = self._rules.scored_space(require_rules=traded == "scored_rules")
        self.space = (whole if request.space is None else request.space).require("the strategy")
        fixed = scored and f"models.{_THRESHOLD}" not in self.space
        if fixed and request.threshold == "tuned":
            raise ConfigurationError(
                "the score from which on a candidate is traded is neither searched nor a number; leave "
                "models.threshold in the search space, or give models: threshold a number"
            )
        self._threshold = request.threshold if fixed else None
        self._instrument = instrument
        self._account = account or Account.for_instrument(instrument)
        _without_volatility(self._account)
        self._traded = traded
        self._scores = None if scores is None else _scores(scores)
        self._replays = Replays(bars, instrument)
        sessions = self._replays.prepared.session_ends[1]
        if self._scores is not None:
            first = self._scores.dropna().index.get_level_values("decided_on").min()
            sessions = sessions[sessions >= pd.Timestamp(first).tz_localize(None)]
        self.sessions = sessions

    def __call__(self, params: Mapping[str, Any]) -> float | tuple[float, ...]:
        """Value of the objective, or of each where there are several."""
        return self.judge(params).value

    def judge(self, params: Mapping[str, Any], report: Report | None = None) -> Judged:
        """Judge parameters.

        Nothing is reported on the way: a trial is one replay of milliseconds, and one that is given up half way would
        count as a trial all the same.

        Raises
        ------
        ConfigurationError, DataError
            For parameters that are not settings, or bars they can't be used on.
        """
        outcome = self.outcome(params)
        money = outcome.money
        money = money.iloc[len(money) - len(self.sessions) :]  # nothing is traded before
        evidence = Evidence(money, self._instrument.periods_per_year, None, len(outcome.run.rows))
        return Judged.of(self.objectives, evidence)

    def outcome(self, params: Mapping[str, Any]) -> Outcome:
        """The backtest of these parameters: that of :func:`pipeline.research.run_research` with the same settings."""
        rules, account, threshold = self._settings(params)
        decisions = self._replays.decide(rules)
        setups = decisions.setups
        kept = np.ones(len(setups.row), np.bool_)
        if self._traded in ("rules", "scored_rules"):
            kept = setups.rule_signal
        if self._scores is not None:
            keys = pd.MultiIndex.from_arrays([decisions.seen.sessions[setups.row], setups.side])
            kept = kept & (self._scores.reindex(keys).to_numpy() >= threshold)
        return self._replays.replay(decisions, kept, account)

    def _settings(self, params: Mapping[str, Any]) -> tuple[TradingRules, Account, float | None]:
        sections = by_section(params)
        rules, account = self._rules.changed(sections.get("strategy", {})), self._account
        if own := sections.get("account"):
            account = Account(**{**account.model_dump(), **own})
            _without_volatility(account)
        models = sections.get("models", {})
        if self._threshold is not None:
            models = {_THRESHOLD: self._threshold, **models}
        if models.keys() != ({_THRESHOLD} if self._scores is not None else set()):
            wanted = "models.threshold, and no other of models" if self._scores is not None else "none of models"
            raise ConfigurationError(
                f"trading {self._traded} needs {wanted}; given are {', '.join(map(str, params)) or 'no parameters'}"
            )
        return rules, account, models.get(_THRESHOLD)


def _without_volatility(account: Account) -> None:
    if account.volatility_target is not None:
        raise ConfigurationError(
            f"account setting volatility_target is {account.volatility_target:g}, but candidates carry no volatility; "
            "leave it out"
        )


def _scores(given: pd.DataFrame) -> pd.Series:
    if absent := [name for name in _SCORE_COLUMNS if name not in given.columns]:
        raise DataError(f"the scores have no column {absent[0]}; they need {', '.join(_SCORE_COLUMNS)}")
    found = given.set_index(["decided_on", "side"])["score"]
    if not found.index.is_unique:
        day, side = found.index[int(np.argmax(found.index.duplicated()))]
        raise DataError(
            f"the candidate of {pd.Timestamp(day).date()}, side {side}, has more than one score; give one for each"
        )
    return found
