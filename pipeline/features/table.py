"""The table of features: of every session, of every candidate, and brought up to date."""

import logging
from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.errors import ConfigurationError, DataError
from pipeline.features.inputs import FeatureInputs
from pipeline.features.registry import CANDIDATE_COLUMNS, Feature, registered

__all__ = ["build_features", "candidate_features", "history_needed", "require_history", "update_features"]

_log = logging.getLogger(__name__)

# Sessions that features are worked out on together when a table is brought up to date.
_TIERS = (64, 200, 340)


def build_features(
    inputs: FeatureInputs, names: Iterable[str] | None = None, *, features: Mapping[str, Feature] | None = None
) -> pd.DataFrame:
    """Every feature at every session's close.

    Parameters
    ----------
    inputs
        Of one symbol.
    names
        Columns to make; all by default.
    features
        Those to choose from, by name; the registered ones by default.

    Returns
    -------
    DataFrame
        Indexed by session, columns sorted by name, float64. Missing (NaN) where a value isn't known, and in the
        sessions before the warm-up: a value that is there is the one any longer history would give. A feature whose
        input is absent (``vix``) has no column.

    Raises
    ------
    ConfigurationError
        For a name that is not a feature.
    DataError
        Where a feature fails or gives an infinite value: names feature and session. For a history too short for any of
        them: says how much is needed.
    """
    chosen = _available(inputs, _choose(names, features))
    needed = history_needed(inputs, features=chosen)
    held = len(inputs.sessions)
    if chosen and held < min(needed.values()):
        shortest = min(needed, key=lambda name: (needed[name], name))
        raise DataError(
            f"{inputs.instrument.symbol} has {held} sessions; the features need at least {needed[shortest]} "
            f"({shortest}) and up to {max(needed.values())}; add earlier bars"
        )
    if short := [name for name, sessions in needed.items() if sessions > held]:
        most = max(short, key=lambda name: (needed[name], name))
        _log.warning(
            "%s has %d sessions: %d of %d features need more and stay missing (%s needs %d)",
            inputs.instrument.symbol,
            held,
            len(short),
            len(chosen),
            most,
            needed[most],
        )
    columns = {name: _values(one, inputs, needed[name]) for name, one in chosen.items()}
    return pd.DataFrame(columns, index=inputs.sessions, columns=pd.Index(columns, dtype="str"), dtype=np.float64)


def update_features(
    previous: pd.DataFrame, inputs: FeatureInputs, *, features: Mapping[str, Feature] | None = None
) -> pd.DataFrame:
    """The table with the sessions that are new, worked out from the recent ones only; to the bit that of a whole build.

    The newest row of the previous table is worked out again. Where it differs (corrected bars, other settings, a
    session that was not over) the whole table is made again, with a warning.

    Parameters
    ----------
    previous
        From :func:`build_features` or this.
    inputs
        With the new sessions. They may begin later than the previous table, as long as the new sessions have the
        history they need.

    Returns
    -------
    DataFrame
        As of :func:`build_features`.

    Raises
    ------
    DataError
        For inputs that lack sessions of the previous table, or the history that the new ones need.
    """
    pool = registered() if features is None else features
    names = list(previous.columns)
    available = _available(inputs, pool)
    if not names or set(names) != set(available) or len(previous) == 0:
        _log.warning("%s: the given table has other features; rebuilt", inputs.instrument.symbol)
        return build_features(inputs, features=pool)
    reach = history_needed(inputs, features=available)
    needed = max(reach.values())
    last = previous.index[-1]
    # The newest row given, and those after it.
    position = int(inputs.sessions.searchsorted(last))
    earlier = previous.index[previous.index >= inputs.sessions[0]] if len(inputs.sessions) else previous.index
    if position >= len(inputs.sessions) or not inputs.sessions[: position + 1].equals(
        pd.DatetimeIndex(earlier).as_unit("ns")
    ):
        raise DataError(
            f"the table of features given ends at {last.date()} and its sessions are not those of the inputs; "
            "build the features again from bars that hold them"
        )
    whole = inputs.sessions[0] == previous.index[0]
    if not whole and position + 1 < needed:
        raise DataError(
            f"the inputs hold {position + 1} sessions up to {last.date()}; features need {needed}; add earlier bars"
        )
    fresh = len(inputs.sessions) - position
    # Few features need the longest history; the others see only what they need.
    parts = []
    for tier in sorted({_tier(sessions) for sessions in reach.values()}):
        own = {name: one for name, one in available.items() if _tier(reach[name]) == tier}
        parts.append(_table_of(inputs.recent(fresh + tier - 1), own).iloc[-fresh:])
    added = pd.concat(parts, axis=1)[list(available)]
    if not added.iloc[:1].equals(previous.iloc[-1:].reindex(columns=added.columns).set_axis(added.index[:1])):
        if not whole:
            raise DataError(
                f"the features of session {last.date()} are no longer those of the table given, and the inputs begin "
                "later than the table; build the features again from all bars"
            )
        _log.warning("%s: features of %s have changed; rebuilt", inputs.instrument.symbol, last.date())
        return build_features(inputs, features=pool)
    return pd.concat([previous[added.columns], added.iloc[1:]])


def candidate_features(
    candidates: pd.DataFrame, features: pd.DataFrame, *, registry: Mapping[str, Feature] | None = None
) -> pd.DataFrame:
    """Side-aware features of each candidate, so that one model serves longs and shorts.

    A feature whose sign is a direction is multiplied by the side; one with a mirror (distance to VAL: to VAH) is
    taken from its mirror for a short. So a long in a market and a short in that market upside down have the same row.

    Parameters
    ----------
    candidates
        From :func:`pipeline.strategy.make_candidates`.
    features
        From :func:`build_features`, with the sessions the candidates were decided on.
    registry
        What is known about the columns; the registered features by default.

    Returns
    -------
    DataFrame
        One row per candidate, in their index: the columns of ``features``, and ``candidate_stop_ticks``,
        ``candidate_target_ticks`` (distances from the entry) and ``candidate_reward_risk``; sorted by name, float64.

    Raises
    ------
    DataError
        For a candidate of a session that the features don't hold, or a column whose mirror is missing.
    ConfigurationError
        For a column that is not a registered feature.
    """
    pool = registered() if registry is None else registry
    chosen = _choose(features.columns, pool)
    rows = pd.DatetimeIndex(features.index).get_indexer(pd.DatetimeIndex(candidates["decided_on"]))
    if (rows < 0).any():
        stray = pd.Timestamp(candidates["decided_on"].to_numpy()[int(np.argmax(rows < 0))])
        raise DataError(
            f"a candidate was decided on {stray.date()}, which the features don't hold; build them from its history"
        )
    side = candidates["side"].to_numpy(np.float64)
    columns: dict[str, NDArray[np.float64]] = {}
    for name, one in chosen.items():
        if one.mirror not in features.columns:
            raise DataError(f"feature {name} needs {one.mirror} for shorts; build both")
        own, other = (features[each].to_numpy(np.float64)[rows] for each in (name, one.mirror))
        value = np.where(side > 0, own, other)
        columns[name] = value * side if one.signed else value
    stop, target = (candidates[name].to_numpy(np.float64) for name in ("stop_ticks", "target_ticks"))
    columns.update(zip(CANDIDATE_COLUMNS, (target / stop, stop, target), strict=True))
    return pd.DataFrame({name: columns[name] for name in sorted(columns)}, index=candidates.index)


def history_needed(inputs: FeatureInputs, *, features: Mapping[str, Feature] | None = None) -> dict[str, int]:
    """Sessions each feature needs before its first value, by name."""
    pool = registered() if features is None else features
    return {name: one.sessions_needed(inputs.instrument, inputs.settings) for name, one in pool.items()}


def require_history(
    inputs: FeatureInputs, names: Iterable[str] | None = None, *, features: Mapping[str, Feature] | None = None
) -> None:
    """See that every feature has a value in the last session at least.

    Raises
    ------
    DataError
        For too little history: says how much there is and how much is needed, and by which feature.
    """
    needed = history_needed(inputs, features=_available(inputs, _choose(names, features)))
    if not needed:
        return
    longest = max(needed, key=lambda name: (needed[name], name))
    if len(inputs.sessions) < needed[longest]:
        raise DataError(
            f"{inputs.instrument.symbol} has {len(inputs.sessions)} sessions; {needed[longest]} are needed "
            f"({longest}); add earlier bars or leave features out"
        )


def _choose(names: Iterable[str] | None, features: Mapping[str, Feature] | None) -> Mapping[str, Feature]:
    pool = registered() if features is None else features
    if names is None:
        return {name: pool[name] for name in sorted(pool)}
    wanted = sorted(set(names))
    if unknown := [name for name in wanted if name not in pool]:
        raise ConfigurationError(
            f"{', '.join(unknown)} is not a feature (there are {len(pool)}, listed in docs/feature_dictionary.md); "
            "correct the name or register it"
        )
    return {name: pool[name] for name in wanted}


def _available(inputs: FeatureInputs, features: Mapping[str, Feature]) -> dict[str, Feature]:
    missing: dict[str, list[str]] = {}
    kept = {}
    for name in sorted(features):
        lacking = [need for need in features[name].needs if not inputs.has(need)]
        for need in lacking:
            missing.setdefault(need, []).append(name)
        if not lacking:
            kept[name] = features[name]
    for need, absent in missing.items():
        _log.info(
            "%s has no %s: %s absent, not zero",
            inputs.instrument.symbol,
            need,
            f"{len(absent)} features ({absent[0]}, ...) are" if len(absent) > 1 else f"feature {absent[0]} is",
        )
    return kept


def _tier(sessions: int) -> int:
    return next((tier for tier in _TIERS if tier >= sessions), sessions)


def _table_of(inputs: FeatureInputs, features: Mapping[str, Feature]) -> pd.DataFrame:
    needed = history_needed(inputs, features=features)
    columns = {name: _values(one, inputs, needed[name]) for name, one in features.items()}
    return pd.DataFrame(columns, index=inputs.sessions, columns=pd.Index(columns, dtype="str"), dtype=np.float64)


def _values(one: Feature, inputs: FeatureInputs, needed: int) -> NDArray[np.float64]:
    sessions = inputs.sessions
    try:
        raw = one.compute(inputs)
        values = np.array(raw, dtype=np.float64)
    # Whatever a feature raises, its user learns which feature it was, in one sentence.
    except Exception as error:
        stretch = f"sessions {sessions[0].date()} to {sessions[-1].date()}" if len(sessions) else "no session"
        raise DataError(
            f"feature {one.name} failed on {inputs.instrument.symbol}, {stretch}: {type(error).__name__}: "
            f"{' '.join(str(error).split())}"
        ) from error
    if isinstance(raw, pd.Series) and not pd.DatetimeIndex(raw.index).equals(sessions):
        raise DataError(f"feature {one.name} is not indexed by the sessions of its inputs; give one value per session")
    if values.shape != (len(sessions),):
        raise DataError(
            f"feature {one.name} gave values of shape {values.shape} for {len(sessions)} sessions; give one per session"
        )
    if (infinite := np.isinf(values)).any():
        session = sessions[int(np.argmax(infinite))]
        raise DataError(
            f"feature {one.name} is infinite in session {session.date()} of {inputs.instrument.symbol} "
            f"({int(infinite.sum())} sessions); let it be missing where it is undefined"
        )
    values[: max(needed - 1, 0)] = np.nan
    return values
