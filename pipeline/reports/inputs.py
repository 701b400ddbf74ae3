"""Everything that a report, or a picture of a model, is made from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self

import pandas as pd

from pipeline.backtest import Account, BacktestResult
from pipeline.coming import ComingSession
from pipeline.market import Instrument
from pipeline.market.evidence import Finding
from pipeline.performance import ModelJudgement, judge_model, scored_rows
from pipeline.reports.model_names import family_name
from pipeline.reports.theme import FADED, STRATEGY_COLORS, STRATEGY_DASHES
from pipeline.reports.trade_list import trade_list
from pipeline.strategy import HistorySettings, Strategy
from pipeline.tuning.looks import Looks

__all__ = ["ModelFindings", "PicturedModel", "ReportInputs", "ShownModel"]


@dataclass(frozen=True)
class ModelFindings:
    """One model family: the quality of its out-of-fold scores, and what they come from.

    Attributes
    ----------
    judgement
        From :func:`pipeline.performance.judge_model`.
    strategy
        Name of the backtest of its signals among the report's results; empty where there is none.
    trained_until
        Time of the last label that each fold learned from, by fold; may be empty.
    importance
        From :func:`pipeline.learning.importance.walk_forward_importance`; may be empty.
    tuned
        How it was tuned inside each fold, in words (``tuned inside each fold: 20 trials by log_loss``); empty where its
        hyperparameters were fixed beforehand.
    """

    judgement: ModelJudgement
    strategy: str = ""
    trained_until: pd.Series = field(default_factory=pd.Series)
    importance: pd.DataFrame = field(default_factory=pd.DataFrame)
    tuned: str = ""

    @classmethod
    def of(
        cls,
        predictions: pd.DataFrame,
        outcomes: pd.DataFrame,
        *,
        probabilistic: bool = True,
        seed: int = 0,
        currency: str = "$",
    ) -> Self:
        """Judge stored predictions.

        Parameters
        ----------
        predictions
            By candidate, of a walk-forward: ``fold``, ``score``, ``threshold``, ``origin``, and ``trained_until``.
        outcomes
            The training set: ``start``, ``session``, ``side``, ``label``, ``net``, ``r_multiple``, ``weight``.
        probabilistic, seed, currency
            As of :func:`pipeline.performance.judge_model`.
        """
        scored = scored_rows(predictions, outcomes)
        known = predictions[predictions["fold"].isin(scored["fold"].unique())]
        return cls(
            judge_model(scored, probabilistic=probabilistic, seed=seed, currency=currency),
            trained_until=known.groupby("fold")["trained_until"].max(),
        )


@dataclass(frozen=True)
class PicturedModel:
    """A model whose pictures are drawn.

    Attributes
    ----------
    judgement
        From :func:`pipeline.performance.judge_model`.
    name
        What the model is called in the titles, such as ``ES lightgbm``.
    currency
        Unit of money.
    importance
        From :func:`pipeline.learning.importance.walk_forward_importance`; may be empty.
    logs
        Training log by fit (``fold_1`` … ``final``), indexed by step.
    """

    judgement: ModelJudgement
    name: str
    currency: str = "$"
    importance: pd.DataFrame = field(default_factory=pd.DataFrame)
    logs: Mapping[str, pd.DataFrame] = field(default_factory=dict)


@dataclass(frozen=True)
class ShownModel:
    """A model family as the report draws it."""

    family: str
    color: str
    findings: ModelFindings

    @property
    def name(self) -> str:
        """The family's name in words."""
        return family_name(self.family)

    @property
    def judgement(self) -> ModelJudgement:
        """Quality of its scores."""
        return self.findings.judgement

    @property
    def ranks(self) -> bool:
        """Tell whether two trades of one fold differ in score; a constant's do not, and there is nothing to draw."""
        score = self.judgement.scored.groupby("fold")["score"]
        return bool((score.max() > score.min()).any())


@dataclass(frozen=True)
class ReportInputs:
    """Everything :func:`pipeline.reports.build_report` shows, as the chapters before it made it.

    Attributes
    ----------
    title
        Heading of the page.
    symbol
        Key of the series (``ES``, ``ES-SIM``).
    source
        Where the bars come from, in words.
    simulated
        Whether the market is simulated; the page then says so everywhere.
    instrument, account, settings, strategy
        What was traded, with what account, on what history, by what strategy.
    bars, profiles, history
        Clean bars, session profiles and session history.
    results, summaries
        By name of the strategy, both with the same names, the yardstick for the others first: what
        :func:`pipeline.backtest.simulate` and :func:`pipeline.performance.summary` gave.
    signals
        All candidates with what each gate says of them, from :func:`pipeline.strategy.make_signals`.
    null_rates
        Of the gates, from :meth:`pipeline.strategy.Strategy.null_rates`.
    cleaning
        Counts of rows: ``rows_in`` (by default kept and quarantined together), ``kept``, ``snapped``,
        ``out_of_order``, ``off_step_volume``, and each reason of the quarantine. Those left out are not shown.
    currency
        The account's, which is the instrument's quote currency.
    models
        By family, in the order shown; empty where none was trained.
    model_differences
        From :func:`pipeline.performance.compare_models`; worked out of ``models`` where it is empty.
    looks
        Every trial that was made on this market and period, from :meth:`pipeline.tuning.ledger.Ledger.looks`.
    why_no_looks
        Why these are unknown, in words. With neither the page says nothing of them.
    findings
        What the bars show about how they were read, from :func:`pipeline.market.evidence.misreadings`.
    coming
        Orders for the coming session, as they stood at the end of the last bar; None where there is no session.
    """

    title: str
    symbol: str
    source: str
    simulated: bool
    instrument: Instrument
    account: Account
    settings: HistorySettings
    strategy: Strategy
    bars: pd.DataFrame
    profiles: pd.DataFrame
    history: pd.DataFrame
    results: Mapping[str, BacktestResult]
    summaries: Mapping[str, pd.DataFrame]
    signals: pd.DataFrame
    null_rates: pd.DataFrame
    cleaning: Mapping[str, int]
    currency: str = "$"
    models: Mapping[str, ModelFindings] = field(default_factory=dict)
    model_differences: pd.DataFrame = field(default_factory=pd.DataFrame)
    looks: Looks | None = None
    why_no_looks: str = ""
    findings: Sequence[Finding] = ()
    coming: ComingSession | None = None

    @property
    def by_interest(self) -> list[str]:
        """Names of the strategies; the first of several is the yardstick for the others and comes last."""
        names = list(self.results)
        return [*names[1:], *names[:1]]

    @cached_property
    def trades(self) -> dict[str, pd.DataFrame]:
        """Trades of each backtest, from :func:`pipeline.reports.trade_list.trade_list`."""
        return trade_list(self.results, self.bars, self.instrument)

    @property
    def colors(self) -> dict[str, str]:
        """Colour of each strategy, the same in every table and chart."""
        return dict(zip(self.results, STRATEGY_COLORS, strict=False))

    def line(self, name: str, width: float) -> dict[str, Any]:
        """A strategy's line in every chart, so many pixels wide."""
        dash = STRATEGY_DASHES[list(self.results).index(name)]
        return {"color": self.colors[name], "dash": dash, "width": width}

    @property
    def shown_models(self) -> list["ShownModel"]:
        """The model families that have a score, with their colours: those of their backtests, or free ones, or grey."""
        held = self.colors
        free = iter(color for color in STRATEGY_COLORS if color not in held.values())
        return [
            ShownModel(family, held.get(findings.strategy) or next(free, FADED), findings)
            for family, findings in self.models.items()
            if len(findings.judgement.scored)
        ]
