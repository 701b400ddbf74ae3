"""Bars for the commands that work on a file without Dagster."""

from dataclasses import dataclass

import pandas as pd

from cli.findings import print_findings
from cli.options import Reading, file_source, refuse_reading
from cli.screen import Console
from pipeline.books import find_book, symbol_and_settings
from pipeline.datasets import SIMULATED_SUFFIX, FileSource, find_dataset
from pipeline.errors import ConfigurationError, DataError
from pipeline.home import vpoc_home
from pipeline.market import Instrument, find_instrument
from pipeline.market.cleaning import clean_bars
from pipeline.market.evidence import Evidence, Finding, misreadings
from pipeline.settings import Settings, load_settings

__all__ = ["FileBars", "bars_of", "bars_of_file", "market_of"]

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


def _bars_of_source(symbol: str, book: str | None) -> FileBars:
    """Read and clean the bars of a symbol's own source, under the settings of a book where one is named."""
    home = vpoc_home()
    settings = load_settings(home)
    dataset = find_dataset(symbol, home)
    if book is not None:
        settings = find_book(book, home, settings).settings
    raw = dataset.read()
    clean = clean_bars(raw.frame, dataset.instrument, off_tick=settings.off_tick)
    if clean.bars.empty:
        raise DataError(f"{dataset.identity} has no usable bars of {dataset.key}; see 'vpoc doctor'")
    evidence = Evidence(raw.frame, clean, dataset.instrument, raw.zone, raw.offset)
    findings = () if dataset.simulated else tuple(misreadings(evidence))
    title = f"{book or dataset.key}: {dataset.identity}"
    return FileBars(clean.bars, clean.quarantine, dataset.instrument, settings, title, findings)


def bars_of_file(source: FileSource, symbol: str, book: str | None = None) -> FileBars:
    """Read and clean the bars of a file, under the settings of a book where one is named; an error if none is left."""
    instrument = find_instrument(symbol)
    settings = load_settings(vpoc_home())
    if book is not None:
        _, settings = symbol_and_settings(book, vpoc_home(), settings)
    raw = source.read(symbol)
    clean = clean_bars(raw.frame, instrument, off_tick=settings.off_tick)
    findings = misreadings(Evidence(raw.frame, clean, instrument, raw.zone, raw.offset))
    if clean.bars.empty:
        reasons = ", ".join(f"{count} {reason}" for reason, count in clean.quarantine["reason"].value_counts().items())
        advice = "; ".join(finding.message for finding in findings) or "check the symbol, the time zone and the columns"
        raise DataError(f"{source.path} has no usable bars of {symbol} ({reasons or 'it has no rows'}): {advice}")
    return FileBars(clean.bars, clean.quarantine, instrument, settings, raw.description, findings)


def market_of(file: str | None, symbol: str | None, book: str | None) -> str:
    """Return the symbol of a file's bars, ES by default, or without one the key of a source, the simulator's."""
    if book is not None:
        traded, _ = symbol_and_settings(book, vpoc_home(), load_settings(vpoc_home()))
        if symbol not in (None, traded):
            raise ConfigurationError(f"--book {book} trades {traded}: leave out --symbol {symbol}")
        return traded if file is None else traded.removesuffix(SIMULATED_SUFFIX)
    return symbol or (_DEFAULT_KEY if file is None else "ES")


def bars_of(file: str | None, symbol: str | None, reading: Reading, book: str | None = None) -> FileBars:
    """Read and clean the bars of a file, or without one of a symbol's source, and print what there is to know of them.

    Those of a book are its symbol's, under its settings.
    """
    market = market_of(file, symbol, book)
    if file is not None:
        taken = bars_of_file(file_source(file, reading), market, book)
        taken.require_intraday()
        if taken.quarantined:
            Console(stderr=True).print(f"quarantined: {taken.quarantined}")
    else:
        refuse_reading(reading, "name the FILE")
        taken = _bars_of_source(market, book)
    print_findings(taken.findings, Console(stderr=True))
    return taken
