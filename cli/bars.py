"""Bars for the commands that work on a file without Dagster."""

from dataclasses import dataclass

import pandas as pd

from cli.findings import print_findings
from cli.options import Reading, file_source, refuse_reading
from cli.screen import Console
from pipeline.datasets import SIMULATED_SUFFIX, FileSource, find_dataset
from pipeline.errors import DataError
from pipeline.home import vpoc_home
from pipeline.market import Instrument, find_instrument
from pipeline.market.cleaning import clean_bars
from pipeline.market.evidence import Evidence, Finding, misreadings
from pipeline.settings import Settings, load_settings

__all__ = ["FileBars", "bars_of", "bars_of_file"]

_DEFAULT_KEY = "ES" + SIMULATED_SUFFIX


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


def bars_of(file: str | None, symbol: str | None, reading: Reading) -> tuple[pd.DataFrame, Instrument, Settings, str]:
    """Read and clean the bars of a file, or without one of a symbol's source, with a line that names them."""
    if file is not None:
        taken = bars_of_file(file_source(file, reading), symbol or "ES")
        taken.require_intraday()
        if taken.quarantined:
            Console(stderr=True).print(f"quarantined: {taken.quarantined}")
        print_findings(taken.findings, Console(stderr=True))
        return taken.bars, taken.instrument, taken.settings, taken.description
    refuse_reading(reading, "name the FILE")
    home = vpoc_home()
    dataset = find_dataset(symbol or _DEFAULT_KEY, home)
    settings = load_settings(home)
    raw = dataset.read()
    clean = clean_bars(raw.frame, dataset.instrument, off_tick=settings.off_tick)
    if clean.bars.empty:
        raise DataError(f"{dataset.identity} has no usable bars of {dataset.key}; see 'vpoc doctor'")
    if not dataset.simulated:
        print_findings(
            misreadings(Evidence(raw.frame, clean, dataset.instrument, raw.zone, raw.offset)), Console(stderr=True)
        )
    return clean.bars, dataset.instrument, settings, f"{dataset.key}: {dataset.identity}"
