"""``vpoc doctor --data``: how a file of bars is read, what is quarantined, what looks wrong, and where it rolls."""

import numpy as np
import pandas as pd

from cli.bars import bars_of_file
from cli.doctor_finding import Finding, State
from pipeline.datasets import FileSource
from pipeline.market import Instrument, label_sessions
from pipeline.market.evidence import Severity
from pipeline.market.evidence.rolls import likely_rolls
from pipeline.market.quarterly_futures import is_futures

__all__ = ["file_findings"]

_STATES: dict[Severity, State] = {"error": "bad", "warning": "note", "note": "note"}


def file_findings(source: FileSource, symbol: str) -> list[Finding]:
    """Describe a file of bars, line by line.

    Raises
    ------
    DataError
        If it can't be read, or holds no usable bar.
    """
    taken = bars_of_file(source, symbol)
    bars = taken.bars
    labels = label_sessions(bars["timestamp"], taken.instrument)
    count, first, last = len(pd.unique(labels.position)), labels.sessions[0], labels.sessions[-1]
    found = [
        Finding("data", "reading", "good", taken.description),
        Finding("data", "bars", "good", f"{len(bars):,} in {count:,} sessions, {first.date()} to {last.date()}"),
    ]
    if taken.quarantined:
        found.append(Finding("data", "quarantined", "note", taken.quarantined))
    found += [
        Finding("data", each.kind.replace("_", " "), _STATES[each.severity], each.message) for each in taken.findings
    ]
    if is_futures(taken.instrument) and not any(each.severity == "error" for each in taken.findings):
        found += _rolls(bars, taken.instrument)
    return found


def _rolls(bars: pd.DataFrame, instrument: Instrument) -> list[Finding]:
    if "contract" in bars:
        sessions = label_sessions(bars["timestamp"], instrument).sessions
        contract, opens, close = (bars[name].to_numpy() for name in ("contract", "open", "close"))
        return [
            Finding(
                "roll",
                f"{sessions[row].date()}",
                "good",
                f"{contract[row - 1]} to {contract[row]}, the price steps by {opens[row] - close[row - 1]:+g}",
            )
            for row in np.flatnonzero(contract[1:] != contract[:-1]) + 1
        ]
    return [
        Finding(
            "likely roll",
            f"{row.session.date()}",
            "note",
            f"the price steps by {row.jump:+g}, {row.times:.1f} times the usual step between sessions"
            + (", after a session that ended with its contract" if row.expired else ""),
        )
        for row in likely_rolls(bars, instrument).itertuples()
    ]
