"""Comparison of a model with a baseline on the same trades, each difference with its interval."""

import math
from collections.abc import Mapping, Sequence

import pandas as pd

from pipeline.errors import DataError
from pipeline.performance.display import format_interval, format_value
from pipeline.performance.metric_table import MODEL_DIGITS, TABLE_COLUMNS
from pipeline.performance.score_samples import ScoreSample, SessionResamples
from pipeline.performance.scored import require_scored
from pipeline.performance.summary import FEWEST_TRADES
from pipeline.performance.uncertainty import Interval, quantile_interval

__all__ = ["BASELINES", "COMPARED_METRICS", "baseline_verdict", "compare_models"]

BASELINES = ("constant", "logistic")
"""What every other family must beat."""
COMPARED_METRICS = ("log_loss", "brier_score", "auc_within_folds", "net", "mean_r")

_LEVEL = 0.95
_REPLICATIONS = 2000
_LESS_IS_BETTER = ("log_loss", "brier_score")
_OF_PROBABILITIES = ("log_loss", "brier_score")
_OUTCOMES = ("label", "net")


def compare_models(
    scored: Mapping[str, pd.DataFrame],
    *,
    probabilistic: Mapping[str, bool] | None = None,
    baselines: Sequence[str] = BASELINES,
    seed: int = 0,
    currency: str = "$",
) -> pd.DataFrame:
    """Differences of each family to each baseline, paired: on the same trades and the same resamples.

    Parameters
    ----------
    scored
        By family, as of :func:`~pipeline.performance.classification.model_summary`. What only some of them scored is
        left out.
    probabilistic
        By family, whether its scores are meant as probabilities; those not named are.
    baselines
        Families to compare with; those that are not among ``scored`` are passed over, and a baseline is compared with
        those named before it.
    seed
        Of the bootstrap; the same seed gives the same intervals.
    currency
        Unit of money.

    Returns
    -------
    DataFrame
        Indexed by ``family``, ``baseline`` and ``metric`` (:data:`COMPARED_METRICS`): ``value`` (family less
        baseline), ``low``, ``high`` (95 % stationary-bootstrap interval over sessions), ``unit``, ``note``, and
        ``better``: ``better`` or ``worse`` where the interval lies on one side of zero, else empty.

    Notes
    -----
    The same sessions are drawn for both, so what they share (a good year, a hard one) cancels, and the interval is
    that of the difference, not of either.

    Raises
    ------
    DataError
        For rows that can't be judged, no trade that all scored, or outcomes that differ between families.
    """
    pairs = _pairs(list(scored), baselines)
    if not pairs:
        index = pd.MultiIndex.from_arrays([[], [], []], names=["family", "baseline", "metric"])
        kinds = TABLE_COLUMNS | {"better": str}
        return pd.DataFrame({name: [] for name in kinds}, index=index).astype(kinds)
    involved = {name: require_scored(scored[name]) for name in scored if any(name in pair for pair in pairs)}
    samples = {name: ScoreSample(rows) for name, rows in _shared(involved).items()}
    probable = {name: (probabilistic or {}).get(name, True) for name in samples}
    values = {name: sample.values() for name, sample in samples.items()}
    first = next(iter(samples.values()))
    count, sessions = len(first.label), first.sessions
    drawn = {}
    if count >= FEWEST_TRADES and sessions > 1:
        # One set of resamples for all, its blocks as long as the family that needs the longest asks for.
        series = pd.concat([pd.DataFrame(sample.series) for sample in samples.values()], axis=1).to_numpy()
        resamples = SessionResamples(first.scored["session"], series, replications=_REPLICATIONS, seed=seed)
        drawn = {name: sample.resampled(resamples) for name, sample in samples.items()}
    most = max(len(rows) for rows in involved.values())
    left_out = f"of the {count:,} trades that all scored, of {most:,}" if most > count else ""
    units = {"log_loss": "nats", "net": currency, "mean_r": "R"}
    records = {}
    for family, baseline in pairs:
        for metric in COMPARED_METRICS:
            value = values[family][metric] - values[baseline][metric]
            why = _why_no_difference(metric, samples[family], samples[baseline], probable[family], probable[baseline])
            if metric in _OF_PROBABILITIES and why:
                value = math.nan
            interval = Interval(math.nan, math.nan)
            if not why and drawn:
                interval = quantile_interval(drawn[family][metric] - drawn[baseline][metric], _LEVEL)
            note = "; ".join(part for part in (left_out, why) if part)
            records[family, baseline, metric] = (value, *interval, units.get(metric, ""), note, _side(metric, interval))
    index = pd.MultiIndex.from_tuples(list(records), names=["family", "baseline", "metric"])
    columns = TABLE_COLUMNS | {"better": str}
    return pd.DataFrame(list(records.values()), index=index, columns=list(columns)).astype(columns)


def baseline_verdict(differences: pd.DataFrame, family: str) -> str:
    """Compare a family's probabilities with a constant's, in a sentence; empty where nothing can be concluded.

    Parameters
    ----------
    differences
        From :func:`compare_models`.
    family
        Whose.
    """
    key = (family, "constant", "log_loss")
    if key not in differences.index:
        return ""
    row = differences.sort_index().loc[key]
    if math.isnan(row["low"]):
        return ""
    digits = MODEL_DIGITS["log_loss"]
    sign = "+" if row["value"] > 0 else ""
    spread = (
        f"log loss {sign}{format_value(row['value'], '', digits=digits)} "
        f"({format_interval(row['low'], row['high'], '', digits=digits)})"
    )
    judged = {"better": "better than", "worse": "worse than", "": "no better than"}[row["better"]]
    return f"Its probabilities are {judged} those of a constant: {spread}."


def _pairs(families: Sequence[str], baselines: Sequence[str]) -> list[tuple[str, str]]:
    present = [name for name in baselines if name in families]
    pairs = []
    for family in families:
        against = present[: present.index(family)] if family in present else present
        pairs += [(family, baseline) for baseline in against]
    return pairs


def _shared(scored: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The rows that all families scored, in one order."""
    names = list(scored)
    index = scored[names[0]].index
    for rows in scored.values():
        index = index.intersection(rows.index, sort=False)
    if not len(index):
        raise DataError(f"no trade was scored by all of {', '.join(names)}; compare models of the same folds")
    shared = {name: rows.loc[index] for name, rows in scored.items()}
    first = shared[names[0]]
    for name, rows in shared.items():
        if differing := [column for column in _OUTCOMES if not (rows[column] == first[column]).all()]:
            raise DataError(
                f"{differing[0]} of the same candidates differs between {names[0]} and {name}; train both on the same "
                "training set"
            )
    return shared


def _why_no_difference(metric: str, family: ScoreSample, baseline: ScoreSample, *probable: bool) -> str:
    count = len(family.label)
    if metric in _OF_PROBABILITIES and not all(probable):
        return "one of the two scores is not a probability"
    if count < FEWEST_TRADES:
        return f"too few trades ({count}) for an interval"
    if family.sessions < 2:
        return "one session only"
    if metric == "auc_within_folds" and not family.has_pairs_within_folds:
        return "every fold holds one class only"
    if metric == "net":
        apart = int((family.taken != baseline.taken).sum())
        if not apart:
            return "both took the same trades"
        if apart < FEWEST_TRADES:
            return f"too few trades ({apart}) that only one of the two took for an interval"
    if metric == "mean_r":
        fewest = int(min(family.taken.sum(), baseline.taken.sum()))
        if fewest < FEWEST_TRADES:
            return f"too few trades taken ({fewest}) by one of the two for an interval"
    return ""


def _side(metric: str, interval: Interval) -> str:
    if not (interval.low > 0 or interval.high < 0):  # NaN too
        return ""
    return "better" if (interval.low > 0) != (metric in _LESS_IS_BETTER) else "worse"
