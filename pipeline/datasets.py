"""Datasets: which bars a symbol key stands for, a user's files or the simulator.

A dataset has a key. ``ES`` is the instrument's real bars, from the source that ``sources.yaml`` in the
home names. ``ES-SIM`` is the simulator's market for the same instrument: a key of its own, so that
simulated and real bars never mix, and whatever is made of simulated ones says so by its name.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from pipeline.errors import ConfigurationError, UnknownSymbolError
from pipeline.frozen_settings import SettingError
from pipeline.home import Home, expanded, write_whole
from pipeline.locks import locked
from pipeline.market import Instrument, find_instrument, load_instruments, simulate_market
from pipeline.market.readers import RawBars, ReadOptions, bar_files, read_bars
from pipeline.market.trade_files import TradeReadOptions
from pipeline.profiles.streaming import StreamedProfiles
from pipeline.profiles.trades import stream_trades
from pipeline.settings import SimulatorSettings, load_settings
from pipeline.yaml_files import place_in_yaml, read_yaml_mapping

__all__ = [
    "SIMULATED_SUFFIX",
    "Dataset",
    "FileSource",
    "TradeSource",
    "dataset_keys",
    "find_dataset",
    "find_trades",
    "load_sources",
    "remember_source",
]

SIMULATED_SUFFIX = "-SIM"
SIMULATED_SYMBOLS = ("ES",)


class TradeSource(TradeReadOptions):
    """A file, folder or glob that holds a symbol's trades, and how to read it."""

    path: str

    def stream(self, instrument: Instrument, **settings: Any) -> StreamedProfiles:
        """Stream the trades into profiles, in chunks; ``settings`` as :func:`stream_trades` takes them."""
        return stream_trades(
            expanded(self.path), instrument, TradeReadOptions(**self.model_dump(exclude={"path"})), **settings
        )


class FileSource(ReadOptions):
    """A file, folder or glob that holds a symbol's bars, and how to read it; its trades beside, if there are."""

    path: str
    trades: TradeSource | None = None

    @property
    def identity(self) -> str:
        """Text that distinguishes this source from another one."""
        options = self.model_dump(mode="json", exclude_defaults=True, exclude={"path", "trades"})
        return " ".join([self.path, *(f"{name}={value}" for name, value in sorted(options.items()))])

    def files(self) -> list[Path]:
        """The files there are now, in the order they are read; an error where there is none."""
        return bar_files(expanded(self.path))

    def read(self, instrument: str | None = None) -> RawBars:
        """Read the bars as they stand in the files; of several symbols, those of ``instrument``."""
        options = ReadOptions(**self.model_dump(exclude={"path", "trades"}))
        return read_bars(self.path, options, instrument=instrument)


@dataclass(frozen=True)
class Dataset:
    """A symbol key with its instrument and where its bars come from.

    Attributes
    ----------
    key
        ``ES``, or ``ES-SIM`` for the simulator's.
    instrument
        What trades.
    source
        Files, or the simulator's settings.
    """

    key: str
    instrument: Instrument
    source: FileSource | SimulatorSettings

    @property
    def simulated(self) -> bool:
        """Return True if the bars come from the simulator."""
        return isinstance(self.source, SimulatorSettings)

    @property
    def title(self) -> str:
        """Title of its pictures."""
        return f"{self.key} (simulated)" if self.simulated else self.key

    @property
    def identity(self) -> str:
        """Source of the bars in one line; stored with everything made from them."""
        if isinstance(self.source, FileSource):
            return self.source.identity
        described = self.source
        return (
            f"simulated {self.instrument.symbol} {described.bar} from {described.start}, "
            f"{described.sessions} sessions, seed {described.seed}, edge {described.edge:g}"
        )

    def read(self) -> RawBars:
        """Read or simulate the raw bars."""
        if isinstance(self.source, FileSource):
            return self.source.read(self.instrument.symbol)
        settings = self.source
        bars = simulate_market(
            self.instrument, settings.start, settings.sessions, settings.seed, edge=settings.edge, bar=settings.bar
        )
        frame = bars.assign(source_file=self.identity, source_line=pd.RangeIndex(1, len(bars) + 1))
        return RawBars(frame=frame, format="simulator", description=self.identity)


def dataset_keys(instruments: Mapping[str, Instrument] | None = None) -> list[str]:
    """Every key there can be: each instrument's symbol, and the simulated ones."""
    symbols = list(load_instruments() if instruments is None else instruments)
    return symbols + [symbol + SIMULATED_SUFFIX for symbol in SIMULATED_SYMBOLS if symbol in symbols]


def find_dataset(key: str, home: Home) -> Dataset:
    """Find the dataset of a key.

    Raises
    ------
    UnknownSymbolError
        If no instrument of that symbol is defined, or it is not simulated.
    ConfigurationError
        If it has no source yet: says how to give it one.
    """
    if key.endswith(SIMULATED_SUFFIX):
        symbol = key.removesuffix(SIMULATED_SUFFIX)
        instrument = find_instrument(symbol)
        if symbol not in SIMULATED_SYMBOLS:
            simulated = ", ".join(name + SIMULATED_SUFFIX for name in SIMULATED_SYMBOLS)
            raise UnknownSymbolError(f"{key} is not simulated; there is {simulated}, or give {symbol} bars of your own")
        return Dataset(key, instrument, load_settings(home).simulator)
    instrument = find_instrument(key)
    sources = load_sources(home)
    if key not in sources:
        raise ConfigurationError(
            f"{key} has no source of bars yet: run 'vpoc run --symbol {key} --data FILE', "
            f"or add '{key}: {{path: FILE}}' to {home.sources}"
        )
    return Dataset(key, instrument, sources[key])


def find_trades(key: str, home: Home) -> tuple[Instrument, TradeSource]:
    """Find the instrument and the trades of a key.

    Raises
    ------
    ConfigurationError
        If its source names no trades: says how to.
    """
    dataset = find_dataset(key, home)
    trades = dataset.source.trades if isinstance(dataset.source, FileSource) else None
    if trades is None:
        raise ConfigurationError(
            f"{key} has no source of trades: add 'trades: {{path: FILE}}' to its entry in {home.sources}"
        )
    return dataset.instrument, trades


def load_sources(home: Home) -> dict[str, FileSource]:
    """Read ``sources.yaml`` of a home: symbol → source; empty where there is no file.

    A path that is not absolute starts from the home, wherever the program is started.
    """
    entries = read_yaml_mapping(home.sources, example="ES: {path: bars.csv}", absent={})
    return {symbol: _source(home, symbol, entry) for symbol, entry in entries.items()}


def remember_source(home: Home, symbol: str, source: FileSource) -> None:
    """Make a source the symbol's own, for every later run; the other symbols keep theirs."""
    find_instrument(symbol)
    text = "# Which files hold which symbol's bars. `vpoc run --data` rewrites this file; comments are not kept.\n"
    try:
        home.root.mkdir(parents=True, exist_ok=True)
        with locked(home.root):  # another command may be adding another symbol
            entries: dict[str, Any] = {
                name: known.model_dump(mode="json", exclude_defaults=True) for name, known in load_sources(home).items()
            }
            entries[symbol] = source.model_dump(mode="json", exclude_defaults=True)
            write_whole(home.sources, text + yaml.safe_dump(entries, sort_keys=True, allow_unicode=True))
    except OSError as error:
        raise ConfigurationError(
            f"{home.sources} can't be written: {error.strerror or error}; set VPOC_HOME to another folder"
        ) from error


def _source(home: Home, symbol: str, entry: object) -> FileSource:
    if not isinstance(entry, dict):
        place = place_in_yaml(home.sources, symbol)
        raise ConfigurationError(f"{place}: {symbol} must map setting names to values, e.g. {{path: bars.csv}}")
    try:
        source = FileSource(**entry)
    except SettingError as error:
        place = place_in_yaml(home.sources, symbol, *error.location)
        raise ConfigurationError(f"{place}: {error.under(symbol)}") from error
    if not source.path.strip():
        place = place_in_yaml(home.sources, symbol, "path")
        raise ConfigurationError(f"{place}: {symbol}.path is empty; name the file with the bars")
    placed: dict[str, Any] = {"path": str(home.root / expanded(source.path))}
    if source.trades is not None:
        placed["trades"] = source.trades.model_copy(update={"path": str(home.root / expanded(source.trades.path))})
    return source.model_copy(update=placed)
