"""The replays: on data cut off, on data that starts later, on the newest sessions only."""

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.audit.causes import Replay, most_telling, truncation_cause, warmup_cause
from pipeline.audit.report import Finding
from pipeline.audit.tables import RawTable, differing, raw_table
from pipeline.errors import DataError
from pipeline.features import Feature, FeatureInputs, build_features, history_needed, update_features

__all__ = ["check_incremental", "check_truncation", "check_warmup", "warmup_groups"]

Features = Mapping[str, Feature]
Ints = NDArray[np.int64]

# Sessions compared after each warm-up: a quarter, so that a roll lies among them.
_ROWS = 66


def check_truncation(
    inputs: FeatureInputs,
    features: Features,
    whole: RawTable,
    cutoffs: Ints,
    causes: Mapping[str, str],
    done: Callable[[str], None],
) -> list[Finding]:
    """Recompute on data cut off at each cut-off; every row up to it has to be the same to the bit.

    ``causes`` says what other checks found out about a feature.
    """
    replays: dict[str, list[Replay]] = {name: [] for name in features}
    findings = []
    for cutoff in cutoffs:
        session = inputs.sessions[cutoff]
        cut = inputs.until(session)
        if not cut.sessions.equals(inputs.sessions[: cutoff + 1]):
            raise DataError(
                f"data cut off at {session.date()} has other sessions than all data; its bars' "
                "sessions can't be told apart"
            )
        table = raw_table(cut, features)
        for name in features:
            if name in table.failed and name not in whole.failed:
                findings.append(
                    Finding(
                        "truncation",
                        name,
                        str(session.date()),
                        "a value",
                        table.failed[name],
                        "it needs data after the cut-off, or fails on a shorter history",
                    )
                )
            elif name in table.frame and name in whole.frame:
                replays[name].append(Replay(whole.column(name), table.column(name)))
        done(f"cut off at {session.date()}")
    for name, runs in replays.items():
        wrong = [run for run in runs if run.differs.any()]
        if wrong:
            run = most_telling(wrong)
            row = int(np.argmax(run.differs))
            cause = truncation_cause(runs, inputs.rolled, causes.get(name))
            findings.append(
                Finding("truncation", name, _day(inputs, row), float(run.cut[row]), float(run.now[row]), cause)
            )
    return findings


def warmup_groups(inputs: FeatureInputs, features: Features) -> dict[int, list[str]]:
    """Starts to try (positions of sessions) and the features each can judge.

    For every length of warm-up the data begins so late that it is just enough for a quarter's rows; and one start for
    all, a session later than the data's own.
    """
    count = len(inputs.sessions)
    groups: dict[int, list[str]] = {}
    for name, needed in history_needed(inputs, features=features).items():
        if needed < count:
            groups.setdefault(max(count - needed - _ROWS + 1, 1), []).append(name)
            groups.setdefault(1, []).append(name)
    return {start: list(dict.fromkeys(names)) for start, names in sorted(groups.items())}


def check_warmup(
    inputs: FeatureInputs,
    features: Features,
    whole: RawTable,
    groups: Mapping[int, list[str]],
    done: Callable[[str], None],
) -> list[Finding]:
    """Let the data start later; from the end of each feature's warm-up on, values have to be the same to the bit."""
    needed = history_needed(inputs, features=features)
    found: dict[str, Finding] = {}
    for start, names in groups.items():
        late = inputs.since(inputs.sessions[start])
        table = raw_table(late, {name: features[name] for name in names})
        offset = len(inputs.sessions) - len(late.sessions)
        for name in names:
            # A start for all is tried first: it has the most rows to tell the cause by.
            if name in found or name not in whole.frame or name not in table.frame:
                continue
            first = max(needed[name] - 1, 0)
            expected, got = whole.column(name)[offset + first :], table.column(name)[first:]
            wrong = differing(expected, got)
            if wrong.any():
                row = int(np.argmax(wrong))
                cause = warmup_cause(expected, got, needed[name])
                day = _day(inputs, offset + first + row)
                found[name] = Finding("warmup", name, day, float(expected[row]), float(got[row]), cause)
        done(f"data from {inputs.sessions[start].date()} on")
    return list(found.values())


def check_incremental(
    inputs: FeatureInputs, features: Features, *, fresh: int, done: Callable[[str], None]
) -> list[Finding]:
    """Bring an earlier table up to date; it has to be the batch's to the bit."""
    count = len(inputs.sessions)
    if not features or count <= fresh + 1:
        return []
    needed = history_needed(inputs, features=features)
    batch = build_features(inputs, features=features)
    recent = build_features(inputs.recent(fresh + max(needed.values()) - 1), features=features).iloc[-fresh:]
    findings = []
    for name, row in _first_differences(batch.iloc[-fresh:], recent):
        findings.append(
            Finding(
                "incremental",
                name,
                _day(inputs, count - fresh + row),
                float(batch[name].iloc[count - fresh + row]),
                float(recent[name].iloc[row]),
                f"the newest sessions alone give another value: it looks back further than the {needed[name]} sessions "
                "it declares, or at the whole sample",
            )
        )
    done("newest sessions only")
    agreeing = {name: one for name, one in features.items() if name not in {each.feature for each in findings}}
    if agreeing:
        earlier = build_features(inputs.until(inputs.sessions[count - 1 - fresh]), features=agreeing)
        updated = update_features(earlier, inputs, features=agreeing)
        for name, row in _first_differences(batch[updated.columns], updated):
            findings.append(
                Finding(
                    "incremental",
                    name,
                    _day(inputs, row),
                    float(batch[name].iloc[row]),
                    float(updated[name].iloc[row]),
                    "brought up to date session by session it is another than in one go: a live system would not see "
                    "what was trained on",
                )
            )
    done("brought up to date")
    return findings


def _first_differences(expected: pd.DataFrame, got: pd.DataFrame) -> Iterator[tuple[str, int]]:
    for name in expected.columns:
        wrong = differing(expected[name].to_numpy(np.float64), got[name].to_numpy(np.float64))
        if wrong.any():
            yield str(name), int(np.argmax(wrong))


def _day(inputs: FeatureInputs, row: int) -> str:
    return str(inputs.sessions[row].date())
