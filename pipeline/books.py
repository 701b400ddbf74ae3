"""Books: a name for a symbol, a strategy with its settings, and, or not, a model that filters it (contract §6b).

Every symbol has a book of its own name, which trades the settings' ``strategy`` and compares all their models. More are
named in ``books`` of ``settings.yaml``. Whatever is made after a symbol's history and features is kept by book.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.datasets import Dataset, dataset_keys, find_dataset
from pipeline.errors import ConfigurationError, UnknownSymbolError, did_you_mean
from pipeline.frozen_settings import SettingError
from pipeline.home import Home
from pipeline.made_under import made_under, require_same_settings
from pipeline.market import Instrument
from pipeline.settings import Settings, load_settings
from pipeline.yaml_files import place_in_yaml

__all__ = ["Book", "book_faults", "book_symbols", "books_of", "find_book", "made_book"]


@dataclass(frozen=True)
class Book:
    """A book, ready to be traded.

    Attributes
    ----------
    name
        A symbol's key, or a name of ``books`` in the settings.
    dataset
        Its bars.
    settings
        The home's, with the book's strategy and models in place of the symbol's own.
    model
        Family whose signals it trades; None for the rule signals.
    """

    name: str
    dataset: Dataset
    settings: Settings
    model: str | None = None

    @property
    def instrument(self) -> Instrument:
        """Instrument that it trades."""
        return self.dataset.instrument

    @property
    def title(self) -> str:
        """Title of its pictures."""
        return f"{self.name} (simulated)" if self.dataset.simulated else self.name

    @property
    def option(self) -> str:
        """Return how a command names it."""
        return f"--symbol {self.name}" if self.name == self.dataset.key else f"--book {self.name}"

    def made_under(self, asset: str) -> dict[str, Any]:
        """Return the attributes that an asset's frame is stored with; see :mod:`pipeline.made_under`."""
        return made_under(asset, self.settings, self.dataset)

    def require_same(self, **frames: Any) -> None:
        """See that stored frames, by asset, were made of today's source and under today's settings.

        Raises
        ------
        DataError
            For the first that was not: names what has changed.
        """
        require_same_settings(frames, self.settings, self.dataset, run=f"vpoc run {self.option}")


def book_symbols(settings: Settings) -> dict[str, str]:
    """Return the symbol key of every book that there can be; a book of an unknown symbol is left out."""
    symbols = dataset_keys()
    own = {name: book.symbol for name, book in settings.books.items() if _fault(name, book.symbol, symbols) is None}
    return {**{key: key for key in symbols}, **own}


def books_of(symbol: str, settings: Settings) -> tuple[str, ...]:
    """Return the names of a symbol's books, its own first."""
    return tuple(name for name, traded in book_symbols(settings).items() if traded == symbol)


def find_book(name: str, home: Home, settings: Settings | None = None) -> Book:
    """Find a book by its name.

    Raises
    ------
    ConfigurationError
        For none, and for one whose symbol, strategy, parameter or model there is not: names file and line.
    UnknownSymbolError
        For a name that is neither a book nor an instrument.
    """
    settings = load_settings(home) if settings is None else settings
    if name not in settings.books:
        if name not in (symbols := dataset_keys()) and settings.books:
            raise UnknownSymbolError(
                f"there is no book {name!r}; choose from {', '.join(settings.books)}, or a symbol, "
                f"{', '.join(symbols)}{did_you_mean(name, [*settings.books, *symbols])}"
            )
        return Book(name, find_dataset(name, home), settings)
    book = settings.books[name]
    if (why := _fault(name, book.symbol, dataset_keys())) is not None:
        raise ConfigurationError(f"{place_in_yaml(home.settings, 'books', name, 'symbol')}: {why}")
    try:
        own = settings.for_book(name)
    except SettingError as error:
        raise ConfigurationError(f"{place_in_yaml(home.settings, *error.location)}: {error}") from error
    return Book(name, find_dataset(book.symbol, home), own, book.model)


def book_faults(home: Home, settings: Settings) -> Mapping[str, str]:
    """Return what is wrong with each of the settings' books that can't be traded; one without bars yet has no fault."""
    faults = {}
    for name in settings.books:
        try:
            settings.for_book(name)
            if (why := _fault(name, settings.books[name].symbol, dataset_keys())) is not None:
                raise ConfigurationError(f"{place_in_yaml(home.settings, 'books', name, 'symbol')}: {why}")
        except SettingError as error:
            faults[name] = f"{place_in_yaml(home.settings, *error.location)}: {error}"
        except ConfigurationError as error:
            faults[name] = str(error)
    return faults


def made_book(home: Home) -> str:
    """Name the book that a command means which goes on from what 'vpoc run' made: ES, or else the only one made.

    Raises
    ------
    ConfigurationError
        If several were made and none is ES: lists them.
    """
    made = sorted(path.stem for path in (home.assets / "training_set").glob("[!.]*.parquet"))
    if "ES" in made or not made:
        return "ES"
    if len(made) > 1:
        raise ConfigurationError(f"'vpoc run' has made {', '.join(made)}: name one with --symbol or --book")
    return made[0]


def _fault(name: str, symbol: str, symbols: list[str]) -> str | None:
    if symbol not in symbols:
        return f"book {name} has the symbol {symbol!r}; choose from {', '.join(symbols)}{did_you_mean(symbol, symbols)}"
    if name != symbol and name.lower() in (each.lower() for each in symbols):
        return f"book {name} has the name of a symbol, and trades {symbol}: rename it"
    return None
