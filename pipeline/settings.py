"""The user's settings from ``settings.yaml`` in the home: strategy, account, cleaning, simulator, models, tuning."""

import datetime as dt
import re
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, PlainSerializer, field_validator, model_validator

from pipeline.backtest import Account
from pipeline.book_settings import DESK, BookSettings, DeskSettings
from pipeline.errors import ConfigurationError
from pipeline.features.selection import FeatureSelection
from pipeline.frozen_settings import FrozenSettings, SettingError
from pipeline.home import Home, expanded
from pipeline.learning.compute import ComputeSettings
from pipeline.learning.fold_settings import check_walk_forward
from pipeline.learning.models import Model, find_family, make_model
from pipeline.learning.models.registry import why_unusable as why_no_family
from pipeline.market import Instrument
from pipeline.strategy import HistorySettings, Strategy, TradingRules
from pipeline.strategy.registry import UnusableStrategy, why_unusable
from pipeline.tuning.settings import TuningSettings
from pipeline.yaml_files import place_in_yaml, read_yaml_mapping

if TYPE_CHECKING:
    from pipeline.learning import PurgedWalkForward

__all__ = [
    "ModelSelection",
    "Settings",
    "SimulatorSettings",
    "Weights",
    "flat_settings",
    "load_settings",
    "read_settings",
    "require_settings",
    "setting_name",
]


class SimulatorSettings(FrozenSettings):
    """The simulated market that ``<symbol>-SIM`` holds; see :func:`pipeline.market.simulate_market`."""

    start: dt.date = dt.date(2020, 1, 2)
    sessions: int = Field(default=1260, gt=0, le=20_000)
    seed: int = Field(default=7, ge=0)
    edge: float = Field(default=0.0, ge=0, le=1)
    bar: str = "5min"


_HIGH_RISK = 0.1
_BOOK_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")
_BOOK_EXAMPLE = "{symbol: ES, strategy: opening_gap_fill}"

Weights = Literal["equal", "uniqueness"]


class ModelSelection(FrozenSettings):
    """Selection of the models trained on the candidates, their folds, and the score that makes a signal.

    Attributes
    ----------
    families
        Trained by ``vpoc run`` and nightly, and shown in the report beside the rules; empty for none. Networks are no
        default where torch is not installed.
    weights
        How trades count in training: ``equal``, or by the ``uniqueness`` of their label's life. A stop ends a life
        sooner than a target, so the second counts losers more and makes every probability too low.
    splits, embargo, train_size
        As of :class:`pipeline.learning.PurgedWalkForward`.
    threshold
        A score from which on a candidate is an ML signal, 0.5 say, or ``tuned``: what would have earned most, for each
        fold among its own training rows only. With targets twice as far as stops a trade pays from about 0.36 on, and
        honest probabilities hardly ever reach 0.5.
    require_rules
        Whether an ML signal must be a rule signal too.
    parameters
        Family → hyperparameters that differ from its defaults.
    """

    families: tuple[str, ...] = ("lightgbm", "mlp") if find_spec("torch") else ("lightgbm",)
    weights: Weights = "equal"
    splits: int = Field(default=5, ge=1, le=50)
    embargo: str = "0D"
    train_size: int | str | None = None
    threshold: Annotated[float, Field(gt=0, lt=1)] | Literal["tuned"] = "tuned"
    require_rules: bool = False
    parameters: dict[str, dict[str, Any]] = Field(default_factory=dict)

    @field_validator("families")
    @classmethod
    def _known_families(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if not why_no_family(name):  # told when a book is to train it
                find_family(name)
        if len(set(names)) < len(names):
            raise ConfigurationError(f"families repeats a name: {', '.join(names)}; list each once")
        return names

    @field_validator("parameters")
    @classmethod
    def _known_parameters(cls, parameters: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        for name, given in parameters.items():
            if not why_no_family(name):
                make_model(name, given)
        return parameters

    @model_validator(mode="after")
    def _possible_splits(self) -> Self:
        check_walk_forward(self.splits, self.embargo, self.train_size)
        return self

    def splitter(self) -> "PurgedWalkForward":
        """The walk-forward folds."""
        from pipeline.learning import PurgedWalkForward

        return PurgedWalkForward(self.splits, embargo=self.embargo, train_size=self.train_size)

    @property
    def folds(self) -> str:
        """The folds in words: scores of two families can be compared where these are the same."""
        return f"{self.splits} splits, embargo {self.embargo}, train size {self.train_size or 'all before'}"

    def model(self, family: str, seed: int) -> Model:
        """An unfitted model of a family with the user's hyperparameters."""
        return make_model(family, self.parameters.get(family), seed=seed)


def _written(strategy: Strategy) -> dict[str, Any]:
    if isinstance(strategy, UnusableStrategy):
        return {"name": strategy.name}
    return {"name": strategy.name, **strategy.parameters.model_dump(mode="json")}


def _possible_account(settings: dict[str, Any]) -> dict[str, Any]:
    Account(**settings)
    return settings


class Settings(FrozenSettings):
    """Everything a user may set, with the project's defaults.

    Attributes
    ----------
    history
        Profiles and session history.
    strategy
        What is traded on it: ``name`` and its parameters. Settings of the history may stand here too, as they did when
        there was one strategy.
    account
        What differs from :class:`pipeline.backtest.Account`'s defaults and the instrument's margin rates.
    simulator
        The simulated market.
    off_tick
        What becomes of prices off the tick: ``snap`` to the nearest, or ``reject`` to the quarantine.
    seed
        Of bootstrap intervals, null pass rates and models.
    volatility_index
        File of the VIX, daily (Cboe's VIX_History.csv, say); its features are absent without it.
    features
        Which features are left out.
    models
        Which models are trained, and how.
    compute
        Where they are trained.
    tuning
        What is tuned, and how.
    books
        Books beside the one that each symbol has, which has its name and trades ``strategy``.
    desk
        Which books trade on one account, and what it limits.
    """

    history: HistorySettings = HistorySettings()
    strategy: Annotated[Strategy, PlainSerializer(_written)] = Field(default_factory=lambda: TradingRules().strategy)
    account: Annotated[dict[str, Any], AfterValidator(_possible_account)] = Field(default_factory=dict)
    simulator: SimulatorSettings = SimulatorSettings()
    off_tick: Literal["snap", "reject"] = "snap"
    seed: int = Field(default=0, ge=0)
    volatility_index: str | None = Field(default=None, min_length=1)
    features: FeatureSelection = FeatureSelection()
    models: ModelSelection = ModelSelection()
    compute: ComputeSettings = ComputeSettings()
    tuning: TuningSettings = TuningSettings()
    books: dict[str, BookSettings] = Field(default_factory=dict)
    desk: DeskSettings = DeskSettings()

    model_config = ConfigDict(arbitrary_types_allowed=True)

    @model_validator(mode="before")
    @classmethod
    def _parted(cls, given: Any) -> Any:
        """Make the strategy of its section, and hand settings of the history that stand there over."""
        if not isinstance(given, Mapping) or isinstance(own := given.get("strategy", {}), Strategy):
            return given
        if isinstance(own, str):
            own = {"name": own}
        if not isinstance(own, Mapping):
            raise SettingError("", ("strategy",), f"is {own!r}; ", "give its name, or a mapping of name and parameters")
        history = given.get("history", {})
        if not isinstance(history, Mapping):
            return given
        if twice := sorted(set(own) & set(history)):
            raise SettingError("", ("strategy", twice[0]), "stands under history too; ", "leave one of them out")
        if not own:
            return {name: value for name, value in given.items() if name != "strategy"}
        try:
            start = TradingRules(HistorySettings(**history))
        except SettingError as error:
            raise error.under("history") from error
        if "name" in own and (why := why_unusable(str(own["name"]))):
            return {**given, "strategy": UnusableStrategy(str(own["name"]), why)}
        try:
            rules = start.changed(own)
        except SettingError as error:
            raise error.under("strategy") from error
        return {**given, "history": rules.history, "strategy": rules.strategy}

    @model_validator(mode="after")
    def _possible_spaces(self) -> Self:
        if not isinstance(self.strategy, UnusableStrategy):
            self.tuning.require_spaces(self.rules)
        return self

    @field_validator("books", mode="before")
    @classmethod
    def _distinct_books(cls, given: Any) -> Any:
        if given is None:  # all of them commented out
            return {}
        if not isinstance(given, Mapping):
            raise SettingError("", (), f"is {given!r}; ", "give a mapping of names to books")
        known: dict[str, str] = {}
        for name, book in given.items():
            if not isinstance(book, Mapping | BookSettings):
                raise SettingError("", (name,), f"is {book!r}; ", f"give a mapping, such as {_BOOK_EXAMPLE}")
            if not _BOOK_NAME.fullmatch(name):
                why = (
                    f"a book can't be called {name!r}: give it 1 to 40 letters, digits, dashes and underscores, "
                    "a letter or digit first"
                )
                raise SettingError("book", (name,), "", why)
            if name.lower() == DESK:
                why = f"a book can't be called {name!r}: the reports of the desk are; rename it"
                raise SettingError("book", (name,), "", why)
            if (twice := known.setdefault(name.lower(), name)) != name:
                why = (
                    f"the books {twice} and {name} differ in capitals only, which some file systems don't tell apart; "
                    "rename one"
                )
                raise SettingError("book", (name,), "", why)
        return given

    def for_book(self, name: str) -> "Settings":
        """Return these settings with the strategy and the models of a book; those of a symbol's own are these.

        Raises
        ------
        SettingError
            For a strategy, parameter or model that there is not, or whose file can't be used.
        """
        if name not in self.books:
            self.require_usable()
            return self
        book = self.books[name]
        if isinstance(self.strategy, UnusableStrategy) and not book.names_strategy:
            raise SettingError("", ("strategy",), "", self.strategy.why)
        try:
            rules = book.rules(TradingRules(self.history) if book.names_strategy else self.rules)
        except SettingError as error:
            raise error.under("books", name, "strategy") from error
        try:
            models = self.models.model_copy(update={"families": _only(book.model)})
        except ConfigurationError as error:
            raise SettingError("", ("books", name, "model"), "", str(error)) from error
        return self.model_copy(
            update={
                "strategy": rules.strategy,
                "models": models,
                "tuning": self.tuning.for_book(
                    models.families, same_strategy=rules.strategy.name == self.strategy.name
                ),
            }
        )

    def require_usable(self) -> None:
        """See that the strategy, and the models, of a symbol's own book can be used.

        Raises
        ------
        SettingError
            For one whose file can't be used.
        """
        if isinstance(self.strategy, UnusableStrategy):
            raise SettingError("", ("strategy",), "", self.strategy.why)
        if why := next(filter(None, map(why_no_family, self.models.families)), ""):
            raise SettingError("", ("models", "families"), "", why)

    @property
    def desk_books(self) -> tuple[str, ...]:
        """Names of the desk's books, in their order; none where there are no books."""
        return self.desk.books or tuple(self.books)

    @property
    def rules(self) -> TradingRules:
        """The strategy and the history it is run on."""
        return TradingRules(self.history, self.strategy)

    def account_for(self, instrument: Instrument) -> Account:
        """The account for an instrument: its own margin rates, where the settings give no others."""
        return Account.for_instrument(instrument, **self.account)


def _only(family: str | None) -> tuple[str, ...]:
    if family is not None:
        find_family(family)
    return () if family is None else (family,)


def flat_settings(settings: Mapping[str, Any], prefix: str = "", *, empty: bool = False) -> dict[str, Any]:
    """Name each value of nested settings by its dotted name, such as ``account.risk_per_trade``.

    Parameters
    ----------
    settings
        Values by name, nested.
    prefix
        Put before every name, with its dot.
    empty
        Whether an empty mapping is a value; else it leaves no trace.
    """
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping) and (value or not empty):
            flat |= flat_settings(value, f"{prefix}{name}.", empty=empty)
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def setting_name(name: str) -> str:
    """Return the place of a setting; those of the history may be written as the strategy's, as in earlier releases."""
    section, _, own = name.partition(".")
    return f"history.{own}" if section == "strategy" and own in HistorySettings.model_fields else name


def load_settings(home: Home) -> Settings:
    """Read the settings of a home, as :func:`read_settings` does."""
    return read_settings(home.settings)


def read_settings(path: Path) -> Settings:
    """Read a file of settings; the defaults where it, or a setting, is absent.

    The account's risk per trade may be written ``0.5%``. One above 10 % is likely a slip, and is refused unless
    ``confirm_risk_per_trade`` says the same.

    Raises
    ------
    ConfigurationError
        For a file that is not YAML or holds an unknown or impossible setting: names file and setting.
    """
    entries = read_yaml_mapping(path, absent={})
    if isinstance(entries.get("account"), dict):
        entries["account"] = _with_risk(entries["account"], path)
    try:
        return Settings(**entries)
    except SettingError as error:
        raise ConfigurationError(f"{place_in_yaml(path, *error.location)}: {error}") from error


def require_settings(home: Home) -> Settings:
    """Read the settings, and make sure of the files that they name: for commands that would find out late.

    Raises
    ------
    ConfigurationError
        As of :func:`load_settings`, and for a missing file.
    """
    settings = load_settings(home)
    named = settings.volatility_index
    if named is not None and not (home.root / expanded(named)).is_file():
        place = place_in_yaml(home.settings, "volatility_index")
        raise ConfigurationError(
            f"{place}: volatility_index names {home.root / expanded(named)}, which does not exist; give the file "
            "of a daily VIX, or remove the line"
        )
    return settings


def _with_risk(account: dict[str, Any], path: Path) -> dict[str, Any]:
    """Read the risk per trade as a share, and refuse a high one that is not confirmed."""
    account = dict(account)
    given, twice = account.get("risk_per_trade"), account.pop("confirm_risk_per_trade", None)
    risk = _share(given)
    if risk is None:
        return account
    if _HIGH_RISK < risk <= 1 and _share(twice) != risk:
        place = place_in_yaml(path, "account", "risk_per_trade")
        meant = "" if isinstance(given, str) else f"for {risk:g} % write '{risk:g}%'; "
        raise ConfigurationError(
            f"{place}: account.risk_per_trade {given} puts {100 * risk:.4g} % of the equity at risk in every trade: "
            f"{meant}if you mean that, confirm it with confirm_risk_per_trade: {given}"
        )
    return {**account, "risk_per_trade": risk}


def _share(value: object) -> float | None:
    """Read a number, or a percentage such as ``0.5%``; None for anything else, which the account itself refuses."""
    if isinstance(value, str) and value.strip().endswith("%"):
        try:
            return float(value.strip().removesuffix("%")) / 100
        except ValueError:
            return None
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
