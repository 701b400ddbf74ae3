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
    """Clean bars of a file, and how they were read.

    Attributes
    ----------
    bars, quarantine
        As :func:`pipeline.market.cleaning.clean_bars` splits them.
    instrument, settings
        The instrument they belong to, and the settings in force.
    description
        How the file was read, one line.
    findings
        What the data shows about how the file was read, the most serious first.
    """

    bars: pd.DataFrame
    quarantine: pd.DataFrame
    instrument: Instrument
    settings: Settings
    description: str
    findings: tuple[Finding, ...]

    @property
    def quarantined(self) -> str:
        """Rows left out by their reason, in words; empty where there are none."""
        counts = self.quarantine["reason"].value_counts()
        return ", ".join(f"{count:,} {reason}" for reason, count in counts.items())

    def require_intraday(self) -> None:
        """Raise an error for data from which nothing can be computed, such as daily bars."""
        if fatal := [finding.message for finding in self.findings if finding.severity == "error"]:
            raise DataError("; ".join(fatal))


def bars_of_file(source: FileSource, symbol: str) -> FileBars:
    """Read and clean the bars of a file; raise an error if none is left."""
    instrument = find_instrument(symbol)
    settings = load_settings(vpoc_home())
    raw = source.read(symbol)
    clean = clean_bars(raw.frame, instrument, off_tick=settings.off_tick)
    findings = misreadings(Evidence(raw.frame, clean, instrument, raw.zone, raw.offset))
    if clean.bars.empty:
        reasons = ", ".join(f"{count} {reason}" for reason, count in clean.quarantine["reason"].value_counts().items())
        advice = "; ".join(finding.message for finding in findings) or "check the symbol, the time zone and the columns"
        raise DataError(f"{source.path} has no usable bars of {symbol} ({reasons or 'it has no rows'}): {advice}")
    return FileBars(clean.bars, clean.quarantine, instrument, settings, raw.description, findings)
