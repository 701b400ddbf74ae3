"""The strategy's parameters and a model's at once: each trial trains the model again on its own candidates.

A trial makes what the assets ``session_history``, ``candidates``, ``features``, ``labels``, ``training_set`` and
``sequences`` make of the same settings, to the last bit. What it is made from is worked out once for what it depends
on:

- bars in whole numbers, the history's parts, nodes and tails of profiles, naked VPOCs, and the features that look at
  nothing that is searched: by hours and allocation;
- profiles, the other features, candidates, labels and rows: by the strategy's settings, of the last few trials;
- scores: by these and the model's hyperparameters, of the last few.

So a trial that changes only the model's hyperparameters refits only the model, and one that changes only the threshold
fits nothing.
"""

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd

from pipeline.backtest import Account
from pipeline.errors import ConfigurationError
from pipeline.features import FeatureInputs, build_features, candidate_features, registered
from pipeline.features.selection import FeatureSelection
from pipeline.features.sequences import sequence_features
from pipeline.learning import average_uniqueness, candidate_labels
from pipeline.learning.labels import known_outcomes
from pipeline.learning.models import FitOptions, Model, TrainingRows
from pipeline.learning.walk_forward import Threshold
from pipeline.market import Hours, Instrument
from pipeline.market.bars import require_bars
from pipeline.profiles.naked import naked_at_close
from pipeline.profiles.relations import session_relations
from pipeline.profiles.rows import RowRule
from pipeline.profiles.structure import session_structure
from pipeline.replays import Replays
from pipeline.strategy import HistorySettings, TradingRules, gate_columns, make_signals
from pipeline.tuning.model_target import ModelTarget
from pipeline.tuning.objectives import Evidence, Judged, directions
from pipeline.tuning.recent import Recent
from pipeline.tuning.request import StudyRequest
from pipeline.tuning.strategy_target import by_section
from pipeline.tuning.targets import StudyTarget
from pipeline.tuning.trials import Report

__all__ = ["JointTarget"]

_log = logging.getLogger(__name__)

# Settings that features may read without depending on what is searched, hours apart.
_SETTLED = (
    *("hours", "allocation", "ticks_per_row", "tpo_minutes", "row_rule"),
    *("direction_window", "calm_short", "calm_long", "atr_window"),
    *("atr_column", "volatility_columns"),
)
# Columns that the value area and the trend's window decide on.
_AREA = ["val", "vah", "value_area_volume"]
_TREND = ["slope", "r_squared", "runs_p_value", "longest_run"]
_KEPT_ROWS, _KEPT_SCORES = 4, 32


@dataclass(frozen=True)
class _Learning:
    """Everything that trading rules determine: rows, their signals, and the model target on them."""

    rows: TrainingRows
    signals: pd.DataFrame
    target: ModelTarget


class JointTarget:
    """Judges the strategy's parameters and a model's hyperparameters together; called by a study, trial by trial.

    Each trial's candidates are scored by models of purged inner folds that learned from its other candidates, and those
    at or above the threshold are taken, one contract each. Inner folds are a cross-validation of all sessions given: a
    fold's model learns from later sessions too, and the study chooses by all of them. So no session given is out of
    sample for what is chosen; only later ones are, those of an outer test among them, which must not be given here.

    Parameters
    ----------
    bars
        Clean bars, all that the study may know.
    instrument
        What trades.
    request
        Family, space (by default all of both), objectives (the low end of the Sharpe ratio by default), and how
        its models learn and are judged.
    rules, account
        Settings that are not searched.
    volatility_index
        Daily VIX rows, as :meth:`~pipeline.features.FeatureInputs.from_bars` takes them; without, its features are
        absent.
    features
        Which of them the model sees.

    Attributes
    ----------
    space
        What is searched.
    sessions
        Every session with bars: those that a trial's money is counted on, the same for all trials.

    Raises
    ------
    ConfigurationError
        For an unknown family, setting or objective, or log loss.
    DataError
        For bars that can't be used.
    """

    def __init__(
        self,
        bars: pd.DataFrame,
        instrument: Instrument,
        request: StudyRequest,
        *,
        rules: TradingRules | None = None,
        account: Account | None = None,
        volatility_index: pd.DataFrame | None = None,
        features: FeatureSelection | None = None,
    ) -> None:
        self._selection = features or FeatureSelection()
        plain = request.model()
        self._family, self._inputs_of_model = plain.family, plain.inputs
        self._rules = rules or TradingRules()
        whole = StudyTarget("joint", plain.family).space(self._rules, require_rules=request.require_rules)
        self.space = (whole if request.space is None else request.space).require(f"strategy with {plain.family}")
        self.objectives = request.objectives or ("sharpe_low",)
        directions(self.objectives)
        if "log_loss" in self.objectives:
            raise ConfigurationError(
                "log_loss can't judge the strategy's parameters, for every trial has other candidates to score; "
                "tune for net, sharpe_low or drawdown"
            )
        self._request = replace(request, space=self.space, objectives=self.objectives)
        self._bars, self._instrument = require_bars(bars), instrument
        self._account = account or Account.for_instrument(instrument)
        has_index = volatility_index is not None and len(volatility_index)
        self._external = {"vix": cast(pd.DataFrame, volatility_index)} if has_index else {}
        self._replays = Replays(self._bars, instrument)
        self.sessions = self._replays.prepared.session_ends[1]
        self._forget()

    def __call__(self, params: Mapping[str, Any], report: Report | None = None) -> float | tuple[float, ...]:
        """Value of the objective, or of each where there are several."""
        return self.judge(params, report).value

    def judge(self, params: Mapping[str, Any], report: Report | None = None) -> Judged:
        """Judge parameters.

        A single objective's value so far is reported after each inner fold but the last.

        Raises
        ------
        ConfigurationError
            For parameters that are not settings.
        DataError
            For parameters that leave too few candidates to learn from: says how many inner folds need.
        """
        return Judged.of(self.objectives, self.evidence(params, report))

    def __getstate__(self) -> dict[str, Any]:
        # Another process works it out again in less time than it takes to send.
        return {name: value for name, value in self.__dict__.items() if name not in _WORKED_OUT}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._forget()

    def evidence(self, params: Mapping[str, Any], report: Report | None = None) -> Evidence:
        """Return the evidence on these parameters: money per trade of one contract on every session with bars."""
        rules, account, hyperparameters, threshold = self._chosen(params)
        learning = self._learning_of(rules, account)
        allowed = None
        if self._request.require_rules:
            # The gates may have moved since the rows were made; the candidates have not.
            signal = self._replays.decide(rules).setups.rule_signal
            allowed = signal[learning.signals.index.to_numpy(np.int64)]
        return learning.target.evidence(hyperparameters, report, threshold=threshold, allowed=allowed)

    def rows(self, params: Mapping[str, Any]) -> TrainingRows:
        """Return the rows the model learns from under these parameters: all candidates that became trades."""
        rules, account, _, _ = self._chosen(params)
        return self._learning_of(rules, account).rows

    def fitted(self, params: Mapping[str, Any]) -> Model:
        """The model of these parameters, fitted on all rows: for candidates of sessions that come after the bars."""
        rules, account, hyperparameters, _ = self._chosen(params)
        learning = self._learning_of(rules, account)
        return learning.target.model(hyperparameters).fit(learning.rows, FitOptions(self._request.compute))

    # --- what is kept ---

    def _forget(self) -> None:
        self._tables: dict[tuple[Hours, RowRule], tuple[pd.DataFrame, pd.DataFrame]] = {}
        self._settled: dict[str, dict[str, Any]] = {}
        self._learnings: Recent[_Learning] = Recent(_KEPT_ROWS)

    def _chosen(self, params: Mapping[str, Any]) -> tuple[TradingRules, Account, dict[str, Any], Threshold]:
        sections = by_section(params, self._family)
        rules = self._rules.changed(sections.get("strategy", {}))
        account = Account(**{**self._account.model_dump(), **sections.get("account", {})})
        models = sections.get("models", {})
        if unknown := models.keys() - {"threshold", "parameters"}:
            raise ConfigurationError(
                f"models.{min(unknown)} is not a parameter of a joint study; it has models.threshold and the "
                "model's own as model.<name>"
            )
        return (
            rules,
            account,
            dict(models.get("parameters", {}).get(self._family, {})),
            models.get("threshold", self._request.threshold),
        )

    def _learning_of(self, rules: TradingRules, account: Account) -> _Learning:
        key = json.dumps(rules.candidate_settings), account.model_dump_json()
        return self._learnings.get(key, lambda: self._learn(rules, account))

    def _learn(self, rules: TradingRules, account: Account) -> _Learning:
        inputs = self._inputs(rules.history)
        signals = make_signals(inputs.history, self._instrument, rules, self._bars)
        candidates = signals.drop(columns=gate_columns(signals))
        labels = candidate_labels(self._bars, candidates, self._instrument, account, hours=rules.history.hours)
        parts = []
        if self._inputs_of_model != "sequences":
            parts.append(candidate_features(candidates, self._features(inputs)))
        if self._inputs_of_model != "features":
            parts.append(sequence_features(inputs, candidates))
        outcome = known_outcomes(labels)
        weight = 1.0 if self._request.weights == "equal" else average_uniqueness(outcome["start"], outcome["end"])
        rows = TrainingRows(
            pd.concat([part.loc[outcome.index] for part in parts], axis=1), outcome.assign(weight=weight)
        )
        taken = signals.loc[outcome.index]
        # A threshold that is searched comes with each trial.
        threshold: Threshold = 0.5 if "models.threshold" in self.space else self._request.threshold
        target = ModelTarget(
            rows,
            replace(self._request, threshold=threshold),
            periods_per_year=self._instrument.periods_per_year,
            traded_in=pd.DatetimeIndex(taken["session"]).as_unit("ns"),
            sessions=self.sessions,
            remembered=_KEPT_SCORES,
        )
        return _Learning(rows, taken, target)

    # --- features ---

    def _inputs(self, history: HistorySettings) -> FeatureInputs:
        """Do as :meth:`FeatureInputs.from_bars`, from what has been computed already."""
        profiles = self._replays.profiles(history)
        structure = naked = None
        if self._inputs_of_model != "sequences":
            settings = history.profile(self._instrument)
            where = settings.hours, settings.rows
            if where not in self._tables:
                self._tables[where] = self._settled_tables(profiles, *where)
            structure, naked = self._tables[where]
            structure = pd.concat([structure, session_relations(profiles, self._instrument)], axis=1)
        return FeatureInputs(
            bars=self._bars,
            profiles=profiles,
            history=self._replays.history(history),
            instrument=self._instrument,
            settings=history,
            structure=structure,
            naked=naked,
            external=self._external,
        )

    def _settled_tables(self, profiles: pd.DataFrame, hours: Hours, rule: RowRule) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Structure, but for its relations, and naked VPOCs: whatever value area is searched they are the same."""
        bars, instrument = self._bars, self._instrument
        structure = session_structure(bars, profiles, instrument, hours=hours, **rule.options)
        relations = list(session_relations(profiles, instrument))
        return (
            structure.drop(columns=relations),
            naked_at_close(profiles, bars, instrument, hours=hours, **rule.options),
        )

    def _features(self, inputs: FeatureInputs) -> pd.DataFrame:
        """Do as :func:`build_features`, with the settled features taken from their first computation."""
        key = inputs.settings.model_dump_json(include=set(_SETTLED))
        if key not in self._settled:
            self._settled[key] = _settled_features(inputs)
        settled = self._settled[key]
        features = {
            name: replace(one, compute_with=_constant(settled[name])) if name in settled else one
            for name, one in self._selection.chosen().items()
        }
        return build_features(inputs, features=features)


_WORKED_OUT = {"_tables", "_settled", "_learnings"}


def _settled_features(inputs: FeatureInputs) -> dict[str, Any]:
    """Values of the features that are what they are whatever value area, trend window and stops are searched.

    They are found by asking each where nothing of these is to be had: what can do without does not depend on it.
    """
    history, profiles = inputs.history, inputs.profiles
    without = replace(
        inputs,
        profiles=profiles.drop(columns=_AREA),
        history=history.drop(columns=[*_AREA[:2], *_TREND]),
        settings=cast(HistorySettings, SimpleNamespace(**{name: getattr(inputs.settings, name) for name in _SETTLED})),
        structure=None,
        naked=inputs.naked,
    )
    found: dict[str, Any] = {}
    for name, one in registered().items():
        if not all(without.has(need) for need in one.needs):
            continue
        try:
            found[name] = one.compute(without)
        # Whatever it missed, it is asked again where everything is there; if that fails too, then with its name.
        except Exception:
            _log.debug("feature %s depends on what is searched", name)
    return found


def _constant(values: Any) -> Callable[..., Any]:
    def compute(inputs: FeatureInputs, **arguments: object) -> Any:
        return values

    return compute
