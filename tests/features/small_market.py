"""Made-up bars for the tests of the feature families, and the comparison of contract §4 over them."""

from collections.abc import Iterable

import pandas as pd

from pipeline.features import FeatureInputs, build_features, history_needed, registered
from pipeline.market import Instrument, session_schedule

Row = tuple[float, float, float, float, float]


def family_of(name: str) -> dict:
    """Features of one family."""
    return {key: one for key, one in registered().items() if one.family == name}


def raw_values(inputs: FeatureInputs, features: dict) -> pd.DataFrame:
    """Return what the functions give before the warm-up is taken off."""
    columns = {name: one.compute(inputs) for name, one in features.items() if all(map(inputs.has, one.needs))}
    return pd.DataFrame(columns, index=inputs.sessions)


def truncation_differences(inputs: FeatureInputs, features: dict, cutoffs: Iterable[int]) -> set[str]:
    """Features with a value that changes, even in the last bit, when everything after some session is cut off."""
    full = build_features(inputs, features=features)
    found: set[str] = set()
    for cutoff in cutoffs:
        cut = build_features(inputs.until(inputs.sessions[cutoff].date()), features=features)
        assert len(cut) == cutoff + 1
        found |= {name for name in full if not cut[name].equals(full[name].iloc[: cutoff + 1])}
    return found


def memory_differences(inputs: FeatureInputs, features: dict, starts: Iterable[int]) -> set[str]:
    """Features with a value, after their warm-up, that depends on where the data starts."""
    full = build_features(inputs, features=features)
    needed = history_needed(inputs, features=features)
    found: set[str] = set()
    for start in starts:
        late = build_features(inputs.since(inputs.sessions[start].date()), features=features)
        for name in full:
            known = late[name].iloc[needed[name] - 1 :]
            if not known.equals(full[name].loc[known.index]):
                found.add(name)
    return found


def bars_by_session(
    instrument: Instrument, sessions: Iterable[Iterable[Row]], *, minutes: int = 5, first: str = "2021-02-01"
) -> pd.DataFrame:
    """Bars from (open, high, low, close in ticks, volume), those of a session from the open of regular hours on."""
    schedule = session_schedule(instrument, first, pd.Timestamp(first) + pd.Timedelta(days=400))
    rows = [
        (opens + pd.Timedelta(minutes=minutes * number), *row)
        for opens, session in zip(schedule["rth_open"], sessions, strict=False)
        for number, row in enumerate(session)
    ]
    frame = pd.DataFrame(rows, columns=["timestamp", "open", "high", "low", "close", "volume"])
    for name in ("open", "high", "low", "close"):
        frame[name] = instrument.to_prices(frame[name].to_numpy("int64"))
    return frame.astype({"volume": "float64"})
