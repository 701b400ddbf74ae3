"""External series: a value dated t must not reach the features of session t or before."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.audit.causes import FUTURE_DATED, SAME_DAY
from pipeline.audit.report import Finding
from pipeline.audit.tables import RawTable, differing, raw_table
from pipeline.features import Feature, FeatureInputs
from pipeline.features.externals import external_dates

__all__ = ["check_externals"]

# What no market says, positive so that it isn't passed over as missing.
_CRAZY = 12_345_678.9


def check_externals(
    inputs: FeatureInputs,
    features: Mapping[str, Feature],
    whole: RawTable,
    cutoffs: NDArray[np.int64],
    done: Callable[[str], None],
) -> list[Finding]:
    """Replace the value of one day by a crazy one; features known before that value have to stay.

    A value dated d is known at closes after d; one with ``known_at`` at closes from that time on. Which features read a
    series at all is found by replacing all of it, whatever they declare.
    """
    findings: dict[str, Finding] = {}
    for series in sorted(inputs.external):
        frame = inputs.external[series]
        dates = external_dates(frame).asi8
        everything = np.ones(len(frame), np.bool_)
        poisoned = raw_table(_with(inputs, series, _crazy(frame, everything)), features)
        readers = {
            name: one
            for name, one in features.items()
            if name in whole.frame
            and (name not in poisoned.frame or differing(whole.column(name), poisoned.column(name)).any())
        }
        for cutoff in cutoffs if readers else ():
            session = inputs.sessions[cutoff]
            rows = dates == session.value
            if not rows.any():
                continue
            table = raw_table(_with(inputs, series, _crazy(frame, rows)), readers)
            unknown = _unknown_at(frame, rows, inputs)
            for name in readers:
                if name in findings or name not in table.frame:
                    continue
                wrong = differing(whole.column(name), table.column(name)) & unknown
                if wrong.any():
                    row = int(np.argmax(wrong))
                    findings[name] = Finding(
                        "external",
                        name,
                        str(inputs.sessions[row].date()),
                        float(whole.column(name)[row]),
                        float(table.column(name)[row]),
                        f"{series} of {session.date()}: {SAME_DAY if row == cutoff else FUTURE_DATED}",
                    )
        done(f"external series {series}")
    return list(findings.values())


def _with(inputs: FeatureInputs, series: str, frame: pd.DataFrame) -> FeatureInputs:
    return replace(inputs, external={**inputs.external, series: frame})


def _crazy(frame: pd.DataFrame, rows: NDArray[np.bool_]) -> pd.DataFrame:
    numbers = [name for name in frame.columns if pd.api.types.is_numeric_dtype(frame[name].dtype)]
    changed = {name: np.where(rows, _CRAZY, frame[name].to_numpy(np.float64, na_value=np.nan)) for name in numbers}
    return frame.assign(**changed)


def _unknown_at(frame: pd.DataFrame, rows: NDArray[np.bool_], inputs: FeatureInputs) -> NDArray[np.bool_]:
    """Sessions at whose closes none of these rows was known, shape (sessions,)."""
    if "known_at" in frame.columns:
        known = pd.DatetimeIndex(frame["known_at"])[rows].as_unit("ns").asi8.min()
        return np.asarray(inputs.closes.asi8 < known)
    return np.asarray(inputs.sessions.asi8 <= external_dates(frame).asi8[rows].min())
