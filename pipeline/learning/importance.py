"""Importance of features by three measures, and agreement between the folds of a walk-forward.

- ``gain``: what the family itself says (LightGBM: loss saved by splits on the feature), from its **training** rows. A
  model that learned noise has gain too.
- ``permutation``: by how much the fold's out-of-fold loss rises when the feature's values are shuffled among the fold's
  test rows (Breiman 2001; Fisher, Rudin & Dominici 2019). Below zero the model would have done better without it. A
  feature that others stand in for shows little: pass ``groups`` to shuffle such together.
- ``shap``: mean size of the feature's contribution to the raw score on the fold's test rows (Lundberg & Lee 2017),
  where the family has it exactly. It says what moves the score, not whether that helps.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.errors import ConfigurationError, DataError
from pipeline.fresh_processes import in_fresh_processes
from pipeline.learning.models.protocol import Model
from pipeline.learning.models.rows import TrainingRows

__all__ = [
    "IMPORTANCE_COLUMNS",
    "fold_importance",
    "importance_stability",
    "importance_table",
    "sequence_groups",
    "walk_forward_importance",
]

IMPORTANCE_COLUMNS = ("method", "fold", "feature", "value")
METHODS = ("gain", "permutation", "shap")

Array = NDArray[np.float64]

_SMALLEST = np.finfo(np.float64).eps
_BATCH_CELLS = 4_000_000  # 32 MB of shuffled copies at a time
_SEQUENCE_COLUMN = re.compile(r"(?P<timeframe>.+?)_\d+_(?P<what>.+)")


def walk_forward_importance(
    models: Sequence[Model],
    rows: TrainingRows,
    folds: pd.Series,
    *,
    seed: int = 0,
    repeats: int = 3,
    groups: Mapping[str, str] | None = None,
    side_by_side: bool = False,
) -> pd.DataFrame:
    """Importance of every feature in every fold of a walk-forward, measured on rows the fold's model never saw.

    Parameters
    ----------
    models
        The folds' models, fold 1 first.
    rows
        Candidates with an outcome.
    folds
        Which fold scored each candidate, from 1; others (−1, missing) are passed over. Its index holds the rows'.
    seed, repeats, groups
        As of :func:`fold_importance`; each fold has random numbers of its own.
    side_by_side
        Whether to measure the folds in processes of their own; no bit depends on it.

    Returns
    -------
    DataFrame
        Columns :data:`IMPORTANCE_COLUMNS`, a row a method, fold and feature; folds without a row are left out.

    Raises
    ------
    DataError
        If rows have no place in ``folds``.
    """
    if absent := (~rows.outcome.index.isin(folds.index)).sum():
        raise DataError(f"{absent} of {len(rows)} rows have no fold; hand over the folds of the same candidates")
    fold = folds.loc[rows.outcome.index].astype("Int64").fillna(-1).to_numpy(np.int64)
    tests = [(number, model, np.flatnonzero(fold == number)) for number, model in enumerate(models, 1)]
    calls = [
        (model, rows.take(test), number, seed + number, repeats, groups) for number, model, test in tests if len(test)
    ]
    parts = in_fresh_processes(_of_fold, calls) if side_by_side else [_of_fold(*call) for call in calls]
    return pd.concat(parts, ignore_index=True) if parts else _empty()


def _of_fold(
    model: Model, rows: TrainingRows, number: int, seed: int, repeats: int, groups: Mapping[str, str] | None
) -> pd.DataFrame:
    found = fold_importance(model, rows, seed=seed, repeats=repeats, groups=groups)
    return found.assign(fold=number)[list(IMPORTANCE_COLUMNS)]


def fold_importance(
    model: Model,
    rows: TrainingRows,
    *,
    seed: int = 0,
    repeats: int = 3,
    groups: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Importance of every feature of one fitted model, by every measure it has.

    Parameters
    ----------
    model
        Fitted on other rows.
    rows
        Test rows.
    seed
        Of the shuffles.
    repeats
        Shuffles a feature, whose mean counts; 0 for no permutation importance.
    groups
        Feature → group. A group's features are shuffled together, row by row, and stand as one under the group's
        name; gain and SHAP are summed. Features not named stand for themselves.

    Returns
    -------
    DataFrame
        ``method``, ``feature`` and ``value``, features in the model's order. Permutation importance is the rise of the
        log loss (nats) where scores are probabilities, else the fall of the AUC; missing where rows of one class leave
        no AUC. SHAP values are those of the model's raw score.
    """
    if repeats < 0:
        raise ConfigurationError(f"repeats is {repeats}; give 0 or more shuffles per feature")
    members = _members(model.columns, groups or {})
    parts = []
    if (gain := model.gain()) is not None:
        parts.append(_summed("gain", gain.reindex(list(model.columns)).fillna(0.0), members))
    if repeats and len(rows):
        parts.append(_permutation(model, rows, members, seed, repeats))
    if len(rows) and (shares := model.contributions(rows.features)) is not None:
        # Of the group together: contributions of one row may cancel.
        values, place = shares.to_numpy(), {name: shares.columns.get_indexer(of) for name, of in members.items()}
        sizes = {name: float(np.abs(values[:, at].sum(axis=1)).mean()) for name, at in place.items()}
        parts.append(_long("shap", sizes))
    return pd.concat(parts, ignore_index=True) if parts else _empty().drop(columns="fold")


def importance_table(importance: pd.DataFrame) -> pd.DataFrame:
    """Importance over the folds.

    Returns
    -------
    DataFrame
        Indexed by ``method`` and ``feature``, within a method the greatest mean first: ``mean``, ``lowest`` and
        ``highest`` over the folds, ``folds`` with a value, and ``rank`` (1 the first).
    """
    known = importance.dropna(subset="value")
    table = known.groupby(["method", "feature"], sort=True)["value"].agg(
        mean="mean", lowest="min", highest="max", folds="size"
    )
    table = table.reset_index().sort_values(
        ["method", "mean", "feature"], ascending=[True, False, True], ignore_index=True
    )
    table["rank"] = table.groupby("method").cumcount() + 1
    return table.set_index(["method", "feature"])


def importance_stability(importance: pd.DataFrame, *, top: int = 20) -> pd.DataFrame:
    """Measure how far the folds agree on what matters.

    Returns
    -------
    DataFrame
        A row a method (index ``method``): ``folds``; ``features``; ``rank_correlation``, the mean over pairs of folds
        of Spearman's correlation of the importances (1 the same order, 0 none; missing with fewer than two folds or
        where all features of a fold are alike); ``top_overlap``, the mean share of a fold's ``top`` features, only
        those above zero, that are among another's too; and ``chance_overlap``, what two lists drawn blindly would
        share.
    """
    if top < 1:
        raise ConfigurationError(f"top is {top}; compare at least the first feature")
    records = {}
    for method, part in importance.groupby("method", sort=True):
        wide = part.set_index(["feature", "fold"])["value"].unstack().dropna(axis=1, how="all")  # noqa: PD010
        pairs = list(combinations(wide.columns, 2))
        correlations = [_spearman(wide[a].to_numpy(), wide[b].to_numpy()) for a, b in pairs]
        overlaps = [_overlap(_first(wide[a], top), _first(wide[b], top)) for a, b in pairs]
        records[str(method)] = {
            "folds": wide.shape[1],
            "features": len(wide),
            "rank_correlation": _mean(correlations),
            "top_overlap": _mean(overlaps),
            "chance_overlap": min(1.0, top / len(wide)),
        }
    names = ["folds", "features", "rank_correlation", "top_overlap", "chance_overlap"]
    frame = pd.DataFrame.from_dict(records, orient="index", columns=names).rename_axis("method")
    return frame.astype({name: "int64" if name in names[:2] else "float64" for name in names})


def sequence_groups(columns: Iterable[str]) -> dict[str, str]:
    """Group sequence columns such as ``session_00_vpoc_move`` by what they hold: ``session vpoc_move``, all lags."""
    matches = {name: _SEQUENCE_COLUMN.fullmatch(name) for name in columns}
    return {name: f"{found['timeframe']} {found['what']}" for name, found in matches.items() if found}


def _members(columns: Sequence[str], groups: Mapping[str, str]) -> dict[str, list[str]]:
    members: dict[str, list[str]] = {}
    for name in columns:
        members.setdefault(groups.get(name, name), []).append(name)
    return members


def _permutation(
    model: Model, rows: TrainingRows, members: Mapping[str, list[str]], seed: int, repeats: int
) -> pd.DataFrame:
    own = rows.features[list(model.columns)].astype(np.float64)
    values, label, count = own.to_numpy(), rows.label, len(rows)
    random = np.random.default_rng(seed)
    orders = np.stack([random.permutation(count) for _ in range(repeats)])
    before = _loss(model, own, label)[0]
    place = {name: own.columns.get_indexer(columns) for name, columns in members.items()}
    idle = _idle(model, own, members, orders[0])
    found: dict[str, float] = dict.fromkeys(members, 0.0)
    names = [name for name in members if name not in idle]
    at_once = max(1, _BATCH_CELLS // max(1, repeats * values.size))
    for first in range(0, len(names), at_once):
        chosen = names[first : first + at_once]
        copies = np.broadcast_to(values, (len(chosen), repeats, *values.shape)).copy()
        for number, name in enumerate(chosen):
            for repeat, order in enumerate(orders):
                copies[number, repeat][:, place[name]] = values[order][:, place[name]]
        shuffled = pd.DataFrame(copies.reshape(-1, values.shape[1]), columns=own.columns, copy=False)
        losses = _loss(model, shuffled, label).reshape(len(chosen), repeats)
        found |= dict(zip(chosen, (losses - before).mean(axis=1), strict=True))
    return _long("permutation", found)


def _idle(model: Model, own: pd.DataFrame, members: Mapping[str, list[str]], order: NDArray[np.int64]) -> set[str]:
    """Groups that the model never looks at, by its own gain, as long as shuffling all of them changes no score."""
    gain = model.gain()
    if gain is None:
        return set()
    used = set(gain.index[gain != 0])
    idle = {name for name, columns in members.items() if used.isdisjoint(columns)}
    shuffled = own.copy()
    columns = [column for name in idle for column in members[name]]
    shuffled[columns] = own[columns].to_numpy()[order]
    return idle if np.array_equal(model.predict_proba(own), model.predict_proba(shuffled)) else set()


def _loss(model: Model, features: pd.DataFrame, label: Array) -> Array:
    """Loss of each copy of the rows that the features hold one below the other."""
    scores = model.predict_proba(features).reshape(-1, len(label))
    if model.probabilistic:
        chance = np.clip(scores, _SMALLEST, 1 - _SMALLEST)
        return np.asarray(-np.where(label > 0, np.log(chance), np.log1p(-chance)).mean(axis=1))
    won, lost = int(label.sum()), int(len(label) - label.sum())
    if not (won and lost):
        return np.full(len(scores), np.nan)
    from scipy.stats import rankdata

    ranks = rankdata(scores, axis=1)
    return np.asarray(-(ranks[:, label > 0].sum(axis=1) - won * (won + 1) / 2) / (won * lost))


def _summed(method: str, values: pd.Series, members: Mapping[str, list[str]]) -> pd.DataFrame:
    array = values.to_numpy(np.float64)
    places = {name: values.index.get_indexer(columns) for name, columns in members.items()}
    return _long(method, {name: float(array[at].sum()) for name, at in places.items()})


def _long(method: str, values: Mapping[str, float]) -> pd.DataFrame:
    frame = pd.DataFrame({"method": method, "feature": list(values), "value": list(values.values())})
    return frame.astype({"method": "str", "feature": "str", "value": "float64"})


def _empty() -> pd.DataFrame:
    kinds = {"method": "str", "fold": "int64", "feature": "str", "value": "float64"}
    return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in kinds.items()})


def _spearman(one: Array, other: Array) -> float:
    from scipy.stats import rankdata

    both = ~(np.isnan(one) | np.isnan(other))
    ranks = [rankdata(values[both]) for values in (one, other)]
    if both.sum() < 2 or any(np.ptp(values) == 0 for values in ranks):
        return np.nan
    return float(np.corrcoef(*ranks)[0, 1])


def _first(values: pd.Series, top: int) -> set[str]:
    """The greatest, above zero; equal ones by name."""
    ordered = values[values > 0].sort_index().sort_values(ascending=False, kind="stable")
    return set(ordered.index[:top])


def _overlap(one: set[str], other: set[str]) -> float:
    most = max(len(one), len(other))
    return len(one & other) / most if most else np.nan


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else np.nan
