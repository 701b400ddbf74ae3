"""Books of the settings: which there are, what each trades, and what a faulty one stops."""

import pickle
from pathlib import Path

import pandas as pd
import pytest

from pipeline.books import book_faults, book_symbols, books_of, find_book, made_book
from pipeline.datasets import find_dataset
from pipeline.errors import ConfigurationError, DataError, PipelineError, UnknownSymbolError
from pipeline.home import Home, vpoc_home
from pipeline.made_under import made_under, require_same_settings
from pipeline.settings import Settings, load_settings, read_settings
from pipeline.settings_file import change_settings
from pipeline.strategy import Strategy
from pipeline.strategy.registry import UnusableStrategy
from pipeline.strategy.skeleton import skeleton

BOOKS = """\
books:
  # fades
  loose: {symbol: ES-SIM, strategy: {r_squared_threshold: 0.4}}
  gap: {symbol: ES-SIM, strategy: opening_gap_fill, model: lightgbm}
  real: {symbol: ES}
"""
SYMBOLS = ["ES", "MES", "NQ", "MNQ", "SPY", "BTCUSDT", "XRPUSDT", "XRPBTC", "ES-SIM"]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("VPOC_HOME", str(tmp_path))
    return vpoc_home()


def given(home: Home, text: str) -> Settings:
    home.settings.write_text(text)
    return load_settings(home)


def broken(home: Home, folder: Path, name: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.py"
    path.write_text("import nothing_of_this_name\n")
    return path


# --- Which there are ---


def test_symbols_have_books_of_their_names_without_any_setting() -> None:
    assert book_symbols(Settings()) == {key: key for key in SYMBOLS}
    assert books_of("ES", Settings()) == ("ES",)


def test_books_of_the_settings_come_after_the_symbols_own(home: Home) -> None:
    settings = given(home, BOOKS)

    assert book_symbols(settings) == {
        **{key: key for key in SYMBOLS},
        **{"loose": "ES-SIM", "gap": "ES-SIM", "real": "ES"},
    }
    assert books_of("ES-SIM", settings) == ("ES-SIM", "loose", "gap")
    assert books_of("ES", settings) == ("ES", "real")


def test_book_of_a_symbols_name_takes_the_place_of_its_own(home: Home) -> None:
    settings = given(home, "books: {ES-SIM: {symbol: ES-SIM, strategy: opening_gap_fill}}\n")

    book = find_book("ES-SIM", home)

    assert books_of("ES-SIM", settings) == ("ES-SIM",)
    assert (book.settings.strategy.name, book.settings.models.families, book.option) == (
        "opening_gap_fill",
        (),
        "--symbol ES-SIM",
    )


@pytest.mark.parametrize("name", ["a", "0", "A-b_C", "on", "x" * 40])
def test_name_that_a_book_can_have_is_taken(home: Home, name: str) -> None:
    assert list(given(home, f"books: {{{name}: {{symbol: ES-SIM}}}}\n").books) == [name]


@pytest.mark.parametrize("text", ["books:\n", "books: {}\n", "books:\n  # a: {symbol: ES}\n"])
def test_section_without_a_book_is_none(home: Home, text: str) -> None:
    assert given(home, text).books == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("books: [a]\n", r"line 1: books is \['a'\]; give a mapping"),
        ("books:\n  a:\n", "line 2: books.a is None; give a mapping, such as"),
        ("books:\n  a: ES\n", "line 2: books.a is 'ES'; give a mapping, such as"),
        ("books:\n  a: {symbl: ES}\n", "line 2: book setting symbl is unknown.*did you mean symbol"),
        ("books:\n  a: {strategy: opening_gap_fill}\n", "line 2: .*symbol is missing; give it"),
        ("books:\n  ok: {symbol: ES}\n  a b: {symbol: ES}\n", "line 3: a book can't be called 'a b'"),
        ("books:\n  Desk: {symbol: ES}\n", "line 2: a book can't be called 'Desk'"),
        ("books:\n  -a: {symbol: ES}\n", "line 2: a book can't be called '-a'"),
        ("books:\n  a/b: {symbol: ES}\n", "line 2: a book can't be called 'a/b'"),
        ("books:\n  a|b: {symbol: ES}\n", r"line 2: a book can't be called 'a\|b'"),
        (f"books:\n  {'x' * 41}: {{symbol: ES}}\n", "line 2: a book can't be called"),
        ("books:\n  ok: {symbol: ES}\n  OK: {symbol: ES}\n", "line 3: the books ok and OK differ in capitals only"),
        ("books:\n  a: {symbol: ES, strategy: [b]}\n", "line 2: .*strategy is .*give its name, or a mapping"),
        (
            "books:\n  a:\n    symbol: ES\n    strategy: {hours: eth}\n",
            "line 4: .*strategy.hours is a setting of the h",
        ),
        ("books:\n  a: {symbol: ES, max_contracts: 0}\n", "line 2: book setting max_contracts is 0"),
    ],
)
def test_impossible_book_is_refused_with_its_line(home: Home, text: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        given(home, text)


# --- What each trades ---


def test_book_without_a_strategy_of_its_own_changes_that_of_the_settings(home: Home) -> None:
    settings = given(home, "strategy: {confidence_threshold: 55}\nhistory: {hours: eth}\n" + BOOKS)

    own = settings.for_book("loose")

    assert own.strategy.name == "value_area_fade"
    assert own.rules.flat == {**settings.rules.flat, "r_squared_threshold": 0.4}
    assert (own.history.hours, own.strategy.parameters.model_dump()["confidence_threshold"]) == ("eth", 55)


def test_book_that_names_a_strategy_begins_with_its_defaults(home: Home) -> None:
    settings = given(home, "strategy: {name: opening_gap_fill, minutes: 30}\n" + BOOKS)

    assert settings.for_book("ES-SIM").strategy.parameters.model_dump()["minutes"] == 30
    assert settings.for_book("gap").strategy.parameters.model_dump()["minutes"] != 30


def test_book_trains_its_own_model_and_no_other(home: Home) -> None:
    settings = given(home, "models: {families: [mlp], splits: 3}\n" + BOOKS)

    families = {name: settings.for_book(name).models.families for name in ("ES-SIM", "loose", "gap")}

    assert families == {"ES-SIM": ("mlp",), "loose": (), "gap": ("lightgbm",)}
    assert settings.for_book("gap").models.splits == 3


def test_studies_of_a_book_are_those_of_its_strategy_and_model(home: Home) -> None:
    settings = given(
        home,
        "models: {families: [mlp]}\n"
        "tuning:\n"
        "  targets: [strategy, mlp, strategy+mlp, strategy@lightgbm, lightgbm]\n"
        "  spaces: {strategy: {stop_atr_factor: {low: 1, high: 2}}, lightgbm: {num_leaves: {low: 8, high: 16}}}\n"
        + BOOKS,
    )

    tuning = {name: settings.for_book(name).tuning for name in ("ES-SIM", "loose", "gap")}

    assert tuning["ES-SIM"] == settings.tuning
    assert tuning["loose"].targets == ("strategy",)
    assert tuning["gap"].targets == ("strategy", "strategy@lightgbm", "lightgbm")
    assert (set(tuning["loose"].spaces), set(tuning["gap"].spaces)) == ({"strategy", "lightgbm"}, {"lightgbm"})


def test_found_book_is_ready_to_be_traded(home: Home) -> None:
    settings = given(home, BOOKS)

    book = find_book("gap", home)

    assert (book.name, book.dataset.key, book.instrument.symbol) == ("gap", "ES-SIM", "ES")
    assert (book.model, book.option, book.title) == ("lightgbm", "--book gap", "gap (simulated)")
    assert book.settings == settings.for_book("gap")
    assert book.made_under("candidates") == made_under("candidates", settings.for_book("gap"), book.dataset)


def test_frame_of_another_books_parameters_is_refused(home: Home) -> None:
    given(home, BOOKS)
    loose, own = find_book("loose", home), find_book("ES-SIM", home)
    frame = pd.DataFrame()
    frame.attrs = own.made_under("rule_signals")

    own.require_same(rule_signals=frame)
    with pytest.raises(DataError, match=r"r_squared_threshold: 0.6 -> 0.4.*'vpoc run --book loose'"):
        loose.require_same(rule_signals=frame)


def test_features_that_a_training_set_refused_are_left_out_of_replays(home: Home) -> None:
    given(home, "features: {leave_out: [rsi_15m]}\n" + BOOKS)
    book = find_book("gap", home)
    frame = pd.DataFrame()

    assert book.without_refused(frame).settings == book.settings
    frame.attrs = {"refused": ["garch_forecast"]}
    assert book.without_refused(frame).settings.features.leave_out == ("rsi_15m", "garch_forecast")


@pytest.mark.parametrize(
    ("made", "meant"), [((), "ES"), (("ES", "gap"), "ES"), (("gap",), "gap"), (("ES-SIM", "a", "gap"), "ES-SIM")]
)
def test_command_goes_on_from_the_only_book_made_or_es(home: Home, made: tuple[str, ...], meant: str) -> None:
    (home.assets / "training_set").mkdir(parents=True)
    for name in made:
        (home.assets / "training_set" / f"{name}.parquet").touch()

    assert made_book(home) == meant


def test_several_books_made_have_to_be_named(home: Home) -> None:
    (home.assets / "training_set").mkdir(parents=True)
    for name in ("gap", "loose"):
        (home.assets / "training_set" / f"{name}.parquet").touch()

    with pytest.raises(ConfigurationError, match="gap, loose: name one with --symbol or --book"):
        made_book(home)


# --- Faults ---


@pytest.mark.parametrize(
    ("book", "said"),
    [
        ("{symbol: ES-SIMM}", "line 2: book bad has the symbol 'ES-SIMM'.*did you mean ES-SIM"),
        ("{symbol: es-sim}", "line 2: book bad has the symbol 'es-sim'.*did you mean ES-SIM"),
        ("{symbol: ES-SIM, strategy: openin_gap_fill}", "line 2: .*no strategy 'openin_gap_fill'.*mean opening_gap_fi"),
        ("{symbol: ES-SIM, strategy: {name: 5}}", "line 2: .*name can't be 5; choose from"),
        ("{symbol: ES-SIM, strategy: {name: }}", "line 2: .*name can't be None; choose from"),
        (
            "{symbol: ES-SIM, strategy: {name: opening_gap_fill, foo: 3}}",
            "line 2: .*foo is unknown; choose from minutes",
        ),
        ("{symbol: ES-SIM, strategy: {r_squared_threshold: 7}}", "line 2: .*r_squared_threshold is 7"),
        ("{symbol: ES-SIM, model: lightgbmm}", "line 2: there is no model family 'lightgbmm'.*did you mean lightgbm"),
    ],
)
def test_faulty_book_is_told_with_its_line_and_stops_no_other(home: Home, book: str, said: str) -> None:
    settings = given(home, f"books:\n  bad: {book}\n  good: {{symbol: ES-SIM}}\n")

    assert list(book_faults(home, settings)) == ["bad"]
    with pytest.raises(ConfigurationError, match=said):
        find_book("bad", home)
    with pytest.raises(ConfigurationError, match=said):
        raise ConfigurationError(book_faults(home, settings)["bad"])
    assert find_book("good", home).settings.strategy.name == "value_area_fade"


@pytest.mark.parametrize(("name", "symbol"), [("es-sim", "ES-SIM"), ("ES", "ES-SIM"), ("nq", "NQ")])
def test_book_can_not_have_the_name_of_another_symbol(home: Home, name: str, symbol: str) -> None:
    settings = given(home, f"books: {{{name}: {{symbol: {symbol}}}}}\n")

    assert "line 1: book" in book_faults(home, settings)[name]
    assert "has the name of a symbol" in book_faults(home, settings)[name]
    assert book_symbols(settings) == {key: key for key in SYMBOLS}


def test_book_of_a_symbol_without_bars_has_no_fault_but_is_not_found(home: Home) -> None:
    settings = given(home, BOOKS)

    assert book_faults(home, settings) == {}
    with pytest.raises(ConfigurationError, match="ES has no source of bars yet"):
        find_book("real", home)


def test_unknown_book_is_told_with_those_there_are(home: Home) -> None:
    given(home, BOOKS)

    with pytest.raises(
        UnknownSymbolError, match=r"no book .Gap.; choose from loose, gap, real, or a symbol, .*did you mean gap"
    ):
        find_book("Gap", home)


def test_unknown_name_without_any_book_is_an_unknown_symbol(home: Home) -> None:
    with pytest.raises(UnknownSymbolError, match="'gap' is unknown"):
        find_book("gap", home)


# --- Files of one's own that can't be used ---


def test_faulty_file_of_a_strategy_stops_its_book_only(home: Home) -> None:
    path = broken(home, home.strategies, "mine")
    settings = given(home, "books:\n  a: {symbol: ES-SIM, strategy: mine}\n  b: {symbol: ES-SIM}\n")

    assert list(book_faults(home, settings)) == ["a"]
    assert f"{path}:1: ModuleNotFoundError" in book_faults(home, settings)["a"]


def test_faulty_file_of_the_settings_strategy_stops_the_books_that_trade_it(home: Home) -> None:
    path = broken(home, home.strategies, "mine")
    settings = given(home, "history: {hours: eth}\nstrategy: {name: mine, width: 3}\n" + BOOKS)

    assert settings.history.hours == "eth"
    assert list(book_faults(home, settings)) == ["loose", "real"]
    assert find_book("gap", home).settings.strategy.name == "opening_gap_fill"
    with pytest.raises(ConfigurationError, match=rf"settings.yaml, line 2: .*{path}:1: ModuleNotFoundError"):
        find_book("ES-SIM", home)


def test_faulty_file_of_another_name_may_hold_the_settings_strategy(home: Home) -> None:
    path = broken(home, home.strategies, "all_of_mine")
    given(home, "strategy: my_break\n" + BOOKS)

    assert find_book("gap", home).settings.strategy.name == "opening_gap_fill"
    with pytest.raises(ConfigurationError, match=rf"no strategy 'my_break'; choose from .*; or correct .*{path}:1"):
        find_book("ES-SIM", home)


def test_unknown_strategy_of_the_settings_is_refused_where_every_file_is_sound(home: Home) -> None:
    home.strategies.mkdir()
    (home.strategies / "my_break.py").write_text(skeleton("my_break"))

    with pytest.raises(ConfigurationError, match=r"line 1: .*no strategy 'my_brake'.*did you mean my_break"):
        given(home, "strategy: my_brake\n" + BOOKS)


def test_faulty_file_of_a_model_family_stops_the_books_that_train_it(home: Home) -> None:
    path = broken(home, home.model_families, "nudge")
    settings = given(home, "models: {families: [nudge], parameters: {nudge: {a: 1}}}\n" + BOOKS)

    assert book_faults(home, settings) == {}
    with pytest.raises(ConfigurationError, match=rf"line 1: the model family nudge can't be used: {path}:1"):
        find_book("ES-SIM", home)
    assert find_book("loose", home).settings.models.families == ()


def test_faulty_file_of_features_leaves_the_names_that_it_holds_to_be_left_out(home: Home) -> None:
    broken(home, home.features, "own")

    settings = given(home, "features: {leave_out: [own_move, rsi_15m]}\n")

    assert settings.features.left_out() == {"rsi_15m"}


def test_unusable_strategy_has_a_name_and_says_why_whatever_is_asked_of_it() -> None:
    strategy = UnusableStrategy("mine", "mine.py:3 is wrong")

    assert isinstance(strategy, Strategy)
    assert (strategy.name, strategy.why) == ("mine", "mine.py:3 is wrong")
    for asked in ("parameters", "gates", "space", "title", "description", "decision_minutes"):
        with pytest.raises(ConfigurationError, match=r"mine\.py:3 is wrong"):
            getattr(strategy, asked)
    with pytest.raises(ConfigurationError, match=r"mine\.py:3 is wrong"):
        strategy.setups(None)  # type: ignore[arg-type]


def test_history_of_a_symbol_can_be_made_while_its_own_strategy_is_faulty(home: Home) -> None:
    given(home, BOOKS)
    dataset = find_dataset("ES-SIM", home)
    bars, profiles = pd.DataFrame(), pd.DataFrame()
    bars.attrs = {"source": dataset.identity}
    profiles.attrs = made_under("profile_history", load_settings(home), dataset)
    broken(home, home.strategies, "mine")
    settings = given(home, "strategy: mine\n" + BOOKS)

    require_same_settings({"bar_history": bars, "profile_history": profiles}, settings, dataset)
    for asset in ("volume_profiles", "profile_history", "session_history", "features"):
        assert made_under(asset, settings, dataset)["settings"]
    # As the audit's process is given them.
    assert pickle.loads(pickle.dumps(settings)).strategy.why == settings.strategy.why  # noqa: S301


def test_unusable_strategy_is_written_as_its_name_alone(home: Home) -> None:
    broken(home, home.strategies, "mine")

    assert given(home, "strategy: mine\n").model_dump(mode="json")["strategy"] == {"name": "mine"}


# --- Changing them ---


def test_change_of_a_books_parameter_keeps_comments_and_the_old_file(home: Home) -> None:
    given(home, BOOKS)

    kept = change_settings(home, {"books.loose.strategy.r_squared_threshold": 0.5})

    assert home.settings.read_text() == BOOKS.replace("0.4", "0.5")
    assert kept is not None
    assert kept.read_text() == BOOKS


def test_change_of_a_parameter_makes_a_mapping_of_a_strategys_name(home: Home) -> None:
    given(home, BOOKS)

    change_settings(home, {"books.gap.strategy.minutes": 15})

    assert "gap: {symbol: ES-SIM, strategy: {name: opening_gap_fill, minutes: 15}, model: lightgbm}" in (
        home.settings.read_text()
    )


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("books.gap.strategy.foo", 1, "foo is unknown"),
        ("books.gap.strategy.minutes", -1, "minutes"),
        ("books.gap.model", "lightgbmm", "no model family 'lightgbmm'"),
        ("books.gap.strategy.name", "openin_gap_fill", "no strategy 'openin_gap_fill'"),
        ("books.gap.strategy.hours", "eth", "setting of the history"),
        ("books.gap.symbl", "ES", "symbl is unknown"),
        ("strategy.name", "mine", "mine can't be used"),
        ("models.families", ["nudge"], "nudge can't be used"),
    ],
)
def test_impossible_change_is_not_written(home: Home, name: str, value: object, said: str) -> None:
    broken(home, home.strategies, "mine")
    broken(home, home.model_families, "nudge")
    given(home, BOOKS)

    with pytest.raises(PipelineError, match=said):
        change_settings(home, {name: value})
    assert home.settings.read_text() == BOOKS
    assert read_settings(home.settings).books.keys() == {"loose", "gap", "real"}


def test_other_books_faults_do_not_stop_a_change(home: Home) -> None:
    given(home, BOOKS + "  bad: {symbol: ES-SIM, strategy: openin_gap_fill}\n")

    change_settings(home, {"books.gap.strategy.minutes": 15, "seed": 4})

    assert load_settings(home).for_book("gap").strategy.parameters.model_dump()["minutes"] == 15
