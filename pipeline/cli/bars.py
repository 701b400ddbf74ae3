"""Bars for the commands that work on a file without Dagster."""

from dataclasses import dataclass

import pandas as pd

from pipeline.datasets import FileSource
from pipeline.errors import DataError
from pipeline.home import vpoc_home
from pipeline.market import Instrument, find_instrument
from pipeline.market.cleaning import clean_bars
from pipeline.market.evidence import Evidence, Finding, misreadings
from pipeline.settings import Settings, load_settings

__all__ = ["FileBars", "bars_of_file"]


@dataclass(frozen=True)
class FileBars:
    """Clean bars of a file, and what they were taken for.

    Attributes
    ----------
    bars, quarantine
        As :func:`pipeline.market.cleaning.clean_bars` splits them.
    instrument, settings
        What they are judged by.
    description
        How the file was read, one line.
    findings
        What the data shows about how the file was read, the gravest first.
    """

    bars: pd.DataFrame
    quarantine: pd.DataFrame
    instrument: Instrument
    settings: Settings
    description: str
    findings: tuple[Finding, ...]

    def require_intraday(self) -> None:
        """Raise an error for data from which nothing can be computed, such as daily bars."""
        if fatal := [finding.said for finding in self.findings if finding.severity == "error"]:
            raise DataError("; ".join(fatal))


def bars_of_file(source: FileSource, symbol: str) -> FileBars:
    """Read and clean the bars of a file; an error where none is left."""
    instrument = find_instrument(symbol)
    settings = load_settings(vpoc_home())
    raw = source.read(symbol)
    clean = clean_bars(raw.frame, instrument, off_tick=settings.off_tick)
    findings = misreadings(Evidence(raw.frame, clean, instrument, raw.description))
    if clean.bars.empty:
        reasons = ", ".join(f"{count} {reason}" for reason, count in clean.quarantine["reason"].value_counts().items())
        advice = "; ".join(finding.said for finding in findings) or "check the symbol, the time zone and the columns"
        raise DataError(f"{source.path} holds no usable bar of {symbol} ({reasons or 'it has no rows'}): {advice}")
    return FileBars(clean.bars, clean.quarantine, instrument, settings, raw.description, findings)
