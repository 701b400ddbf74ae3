"""Which rows transformers are fitted on: a spy in the pipeline, and a test with poisoned rows."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import FeatureUnion, Pipeline

from pipeline.audit.report import Finding

__all__ = ["FitLog", "FitSpy", "audit_fit_rows", "spied"]

Positions = NDArray[np.int64]
Fit = Callable[[Any, pd.DataFrame, pd.Series, Positions], Any]

_POISON = 1e6


@dataclass(eq=False)
class FitLog:
    """What spies saw: a row a fit, (step, index of the rows or None where they carried none, how many)."""

    fits: list[tuple[str, pd.Index | None, int]] = field(default_factory=list)
    # Arrays that a step made, with the rows they stand for; held, so that no other array gets their identity.
    _made: dict[int, tuple[Any, pd.Index]] = field(default_factory=dict)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Clones of a pipeline report to the same log."""
        return self

    def rows(self, frame: Any) -> pd.Index | None:
        """The rows a frame stands for; None where nobody knows."""
        if isinstance(frame, pd.DataFrame | pd.Series):
            return frame.index
        known = self._made.get(id(frame))
        return None if known is None else known[1]

    def made(self, output: Any, rows: pd.Index | None) -> Any:
        """Remember which rows a step's output stands for."""
        if rows is not None and not isinstance(output, pd.DataFrame) and len(rows) == output.shape[0]:
            self._made[id(output)] = (output, rows)
        return output


class FitSpy(TransformerMixin, BaseEstimator):
    """A transformer that does what another one does, and writes down the rows it is fitted on.

    Parameters
    ----------
    transformer
        The other one.
    log
        Where to.
    name
        The step's, for the log.
    """

    def __init__(self, transformer: Any, log: FitLog, name: str) -> None:
        self.transformer = transformer
        self.log = log
        self.name = name

    def fit(self, X: Any, y: Any = None, **parameters: Any) -> Self:  # noqa: N803 (scikit-learn's name)
        """Write down the rows and fit."""
        self.log.fits.append((self.name, self.log.rows(X), len(X)))
        self.transformer_ = clone(self.transformer).fit(X, y, **parameters)
        return self

    def transform(self, X: Any) -> Any:  # noqa: N803
        """As the other one."""
        return self.log.made(self.transformer_.transform(X), self.log.rows(X))

    def get_feature_names_out(self, input_features: Any = None) -> Any:
        """As the other one."""
        return self.transformer_.get_feature_names_out(input_features)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "transformer_")


def spied(model: Any, log: FitLog, name: str = "") -> Any:
    """A clone of a model with a spy around every transformer, in pipelines within pipelines too.

    A model that is no pipeline is cloned as it is: it is fitted on what the training routine hands it.
    """
    if isinstance(model, Pipeline):
        copied = clone(model)
        copied.steps = [
            (step, _wrapped(one, log, f"{name}{step}", last=row == len(model.steps) - 1))
            for row, (step, one) in enumerate(model.steps)
        ]
        return copied
    if isinstance(model, ColumnTransformer):
        copied = clone(model)
        copied.transformers = [
            (step, _wrapped(one, log, f"{name}{step}"), columns) for step, one, columns in model.transformers
        ]
        return copied
    if isinstance(model, FeatureUnion):
        copied = clone(model)
        copied.transformer_list = [(step, _wrapped(one, log, f"{name}{step}")) for step, one in model.transformer_list]
        return copied
    return clone(model)


def audit_fit_rows(
    model: Any,
    features: pd.DataFrame,
    target: pd.Series,
    splits: Iterable[tuple[Positions, Positions]],
    *,
    fit: Fit | None = None,
    poison: bool = True,
) -> list[Finding]:
    """See that fitting uses training rows only, in every split.

    Two ways. Spies in the model's pipeline write down the rows each transformer is fitted on. And everything outside
    the training rows is replaced by nonsense: a model fitted then has to say the same of the training rows, to the bit.
    That also catches what happens outside the pipeline.

    Parameters
    ----------
    model
        A scikit-learn pipeline or estimator, not fitted.
    features, target
        Shape (n, k) and (n,).
    splits
        Positions (train, test), as splitters yield them.
    fit
        Your training routine: from (model, features, target, train) to the fitted model. By default
        ``model.fit(features.iloc[train], target.iloc[train])``.
    poison
        Whether to do the second test: two fits more a split.

    Returns
    -------
    list of Finding
        ``feature`` is the step, ``row`` the first row that it must not have seen.
    """
    routine = fit or _fit_on_training_rows
    # Rows are known by their position, whatever the index was.
    frame, answers = features.reset_index(drop=True), target.reset_index(drop=True)
    findings: list[Finding] = []
    for number, (train, _) in enumerate(splits):
        log = FitLog()
        routine(spied(model, log), frame, answers, train)
        findings += _seen(log, train, features.index, number)
        if poison and not any(finding.row.startswith(f"split {number}:") for finding in findings):
            findings += _poisoned(routine, model, frame, answers, train, number)
    return findings


def _fit_on_training_rows(model: Any, features: pd.DataFrame, target: pd.Series, train: Positions) -> Any:
    return model.fit(features.iloc[train], target.iloc[train])


def _wrapped(one: Any, log: FitLog, name: str, *, last: bool = False) -> Any:
    if one is None or isinstance(one, str):  # passthrough, drop
        return one
    if isinstance(one, Pipeline | ColumnTransformer | FeatureUnion):
        return spied(one, log, f"{name}.")
    if last and not hasattr(one, "transform"):
        return clone(one)
    return FitSpy(clone(one), log, name)


def _seen(log: FitLog, train: Positions, index: pd.Index, number: int) -> list[Finding]:
    findings = []
    for name, rows, count in log.fits:
        if rows is None:
            strange, got = None, f"{count} rows"
            clean = count <= len(train)
        else:
            places = rows.to_numpy()
            extra = places[~np.isin(places, train)]
            clean = len(extra) == 0
            strange = None if clean else int(extra[0])
            got = f"{len(places)} rows, {len(extra)} of them not for training"
        if not clean:
            row = "" if strange is None else f" row {index[strange]}"
            findings.append(
                Finding(
                    "fit_rows",
                    name,
                    f"split {number}:{row}",
                    f"fitted on the {len(train)} training rows",
                    f"fitted on {got}",
                    "a transformer fitted on all rows before the split; fit the whole pipeline on the training "
                    "rows of each split",
                )
            )
    return findings


def _poisoned(
    routine: Fit, model: Any, features: pd.DataFrame, target: pd.Series, train: Positions, number: int
) -> list[Finding]:
    others = np.setdiff1d(np.arange(len(features)), train)
    if not len(others):
        return []
    nonsense, answers = features.astype(np.float64), target.copy()
    rng = np.random.default_rng(0)
    nonsense.iloc[others] = rng.normal(scale=_POISON, size=(len(others), features.shape[1]))
    answers.iloc[others] = rng.permutation(target.iloc[others].to_numpy()[::-1])
    first, again = (_says(routine(clone(model), features, target, train), features.iloc[train]) for _ in range(2))
    other = _says(routine(clone(model), nonsense, answers, train), features.iloc[train])
    if first is None or other is None or again is None or not np.array_equal(first, again, equal_nan=True):
        return []  # nothing to compare: no answer, or another one each time
    if np.array_equal(first, other, equal_nan=True):
        return []
    return [
        Finding(
            "fit_rows",
            type(model).__name__,
            f"split {number}:",
            "the same model, whatever stands in rows it isn't trained on",
            "another model",
            "something is fitted on all rows outside the pipeline (scaling, selection, imputation or encoding before "
            "the split)",
        )
    ]


def _says(fitted: Any, rows: pd.DataFrame) -> NDArray[Any] | None:
    for method in ("predict_proba", "predict", "transform"):
        if hasattr(fitted, method):
            return np.asarray(getattr(fitted, method)(rows))
    return None
