"""The desk of the settings: its books' own orders, over the sessions they have in common, on one account."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from pipeline.backtest import BacktestResult, Backtests, simulate, simulate_desk
from pipeline.book_settings import BookSettings, DeskSettings
from pipeline.books import Book
from pipeline.choices import desk_choices, rule_choices
from pipeline.datasets import Dataset
from pipeline.desks import DeskBook, desk_books, desk_of, desk_orders
from pipeline.errors import ConfigurationError, DataError
from pipeline.home import Home
from pipeline.market import find_instrument, simulate_market
from pipeline.research import RULES, run_research
from pipeline.settings import Settings, SimulatorSettings

ES = find_instrument("ES")
MARKET = SimulatorSettings(start=dt.date(2021, 1, 4), sessions=120, seed=3, bar="15min")
DATASET = Dataset("ES-SIM", ES, MARKET)
SETTINGS = Settings(
    simulator=MARKET,
    strategy="initial_balance_breakout",
    books={"re80": {"symbol": "ES-SIM", "strategy": "eighty_percent_rule"}, "twin": {"symbol": "ES-SIM"}},
)


@pytest.fixture(scope="module")
def bars() -> pd.DataFrame:
    return simulate_market(ES, MARKET.start, MARKET.sessions, MARKET.seed, edge=0.0, bar=MARKET.bar)


@pytest.fixture(scope="module")
def results(bars: pd.DataFrame) -> Mapping[str, Mapping[str, BacktestResult]]:
    return {name: run_research(bars, ES, SETTINGS.for_book(name)).results for name in ("ES-SIM", "re80")}


def book(name: str, settings: Settings = SETTINGS, model: str | None = None) -> Book:
    return Book(name, DATASET, settings.for_book(name), model)


def made(name: str, bars: pd.DataFrame, results: Mapping[str, Mapping[str, BacktestResult]]) -> DeskBook:
    one = book(name)
    return DeskBook(one, bars, Backtests(results[name], one.made_under("rule_backtest")))


def test_one_book_on_the_desk_of_the_settings_is_its_own_backtest_to_the_bit(
    bars: pd.DataFrame, results: Mapping[str, Mapping[str, BacktestResult]]
) -> None:
    alone = results["ES-SIM"][RULES]
    assert len(alone.trades) > 10

    result = simulate_desk(desk_orders([made("ES-SIM", bars, results)]), desk_of(SETTINGS, [book("ES-SIM")]))

    pd.testing.assert_series_equal(result.equity, alone.equity, check_freq=False)
    pd.testing.assert_frame_equal(result.trades[list(alone.trades)], alone.trades)


def test_two_books_of_one_symbol_share_an_account_and_every_order_has_an_end(
    bars: pd.DataFrame, results: Mapping[str, Mapping[str, BacktestResult]]
) -> None:
    both = [made("ES-SIM", bars, results), made("re80", bars, results)]

    result = simulate_desk(desk_orders(both), desk_of(SETTINGS, [each.book for each in both]))

    assert set(result.trades["book"]) == {"ES-SIM", "re80"}
    given = {name: len(results[name][RULES].orders) for name in results}
    assert result.orders.groupby("book").size().to_dict() == given
    final = 100_000 + result.trades["pnl"].sum()
    assert result.equity.iloc[-1] == pytest.approx(final, abs=1e-6)


def test_model_book_begins_with_its_first_session_out_of_fold_and_so_does_the_desk(
    bars: pd.DataFrame, results: Mapping[str, Mapping[str, BacktestResult]]
) -> None:
    first = pd.Timestamp("2021-04-01")
    signals = results["re80"]["Rule signals"]
    attrs = {**book("re80").made_under("model_backtest"), "first_session": "2021-04-01"}
    scored = DeskBook(book("re80", model="logistic"), bars, None, Backtests({"ML logistic": signals}, attrs))

    rules, model = desk_orders([made("ES-SIM", bars, results), scored])

    for each in (rules, model):
        assert each.orders["session"].min() >= first
        assert {"status", "reason"}.isdisjoint(each.orders.columns)
    expected = simulate(
        bars[bars["timestamp"] >= "2021-03-31 22:00Z"].reset_index(drop=True),
        model.orders,
        ES,
        SETTINGS.account_for(ES),
    )
    result = simulate_desk([model], desk_of(SETTINGS, [scored.book]))
    pd.testing.assert_series_equal(result.equity, expected.equity, check_freq=False)


def test_book_that_was_not_run_says_which_command_makes_it(bars: pd.DataFrame) -> None:
    with pytest.raises(DataError, match="book re80 has no backtest of Rule signals yet: 'vpoc run --book re80'"):
        desk_orders([DeskBook(book("re80"), bars, None)])
    with pytest.raises(DataError, match="'vpoc models train logistic --symbol ES-SIM' makes it"):
        desk_orders([DeskBook(book("ES-SIM", model="logistic"), bars, None)])


def test_book_whose_account_has_changed_since_its_backtest_is_refused(
    bars: pd.DataFrame, results: Mapping[str, Mapping[str, BacktestResult]]
) -> None:
    before = made("re80", bars, results)
    changed = SETTINGS.model_copy(update={"account": {"slippage_ticks": 3}})
    now = replace(before, book=book("re80", changed))

    with pytest.raises(DataError, match=r"rule_backtest was made \(account\.slippage_ticks: 1 -> 3\)"):
        desk_orders([now])


def test_backtest_of_older_bars_is_refused_and_says_what_makes_it_anew(
    bars: pd.DataFrame, results: Mapping[str, Mapping[str, BacktestResult]]
) -> None:
    night = pd.concat([bars, bars.tail(1).assign(timestamp=bars["timestamp"].iloc[-1] + pd.Timedelta(days=1))])
    ends = f"{bars['timestamp'].iloc[-1]:%F}"

    with pytest.raises(DataError, match=f"book re80 ends on {ends}, and its bars on .*'vpoc run --book re80' makes it"):
        desk_orders([replace(made("re80", bars, results), bars=night)])


def test_books_without_a_common_session_are_refused_with_their_dates(
    bars: pd.DataFrame, results: Mapping[str, Mapping[str, BacktestResult]]
) -> None:
    early = replace(made("ES-SIM", bars, results), bars=bars[bars["timestamp"] < "2021-02-01"])
    late = replace(made("re80", bars, results), bars=bars[bars["timestamp"] > "2021-03-01"])

    with pytest.raises(
        DataError, match="no session in common: re80 begins on 2021-03-01, and ES-SIM ends on 2021-02-01"
    ):
        desk_orders([early, late])


def test_desk_takes_the_books_of_the_settings_in_their_order(tmp_path: Path) -> None:
    home = Home(tmp_path)

    assert [each.name for each in desk_books(home, SETTINGS)] == ["re80", "twin"]
    chosen = SETTINGS.model_copy(update={"desk": DeskSettings(books=("twin", "ES-SIM"))})
    assert [each.name for each in desk_books(home, chosen)] == ["twin", "ES-SIM"]


def test_desk_without_books_or_with_an_unknown_one_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="the desk has no books: name some under 'books'"):
        desk_books(Home(tmp_path), Settings())
    unknown = SETTINGS.model_copy(update={"desk": DeskSettings(books=("re08",))})
    with pytest.raises(ConfigurationError, match=r"desk\.books: there is no book 're08'.*did you mean re80"):
        desk_books(Home(tmp_path), unknown)


def test_desk_has_the_accounts_money_and_its_own_limits() -> None:
    settings = Settings(
        account={"initial_capital": 50_000, "risk_per_trade": 0.005, "max_positions": 7},
        desk={"max_positions": 2, "total_risk": 0.01},
    )

    desk = desk_of(settings, [Book("ES-SIM", DATASET, settings)])

    assert (desk.initial_capital, desk.risk_per_trade, desk.max_positions, desk.total_risk) == (50_000, 0.005, 2, 0.01)


@pytest.mark.parametrize(
    ("desk", "words"),
    [
        ({"books": ["a", "a"]}, "repeats a name"),
        ({"groups": {"index": {"books": ["a"]}}}, "has no limit"),
        ({"total_risk": 2}, "total_risk"),
        ({"max_position": 2}, "did you mean max_positions"),
    ],
)
def test_impossible_settings_of_the_desk_are_refused(desk: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        Settings(desk=desk)


def test_limits_that_contradict_each_other_are_refused() -> None:
    settings = Settings(desk={"max_positions": 1, "groups": {"index": {"books": ["ES-SIM"], "max_positions": 2}}})

    with pytest.raises(ConfigurationError, match="group index allows 2, more than the 1"):
        desk_of(settings, [Book("ES-SIM", DATASET, settings)])


def test_limits_of_a_book_are_the_settings_own_or_the_accounts(
    bars: pd.DataFrame, results: Mapping[str, Mapping[str, BacktestResult]]
) -> None:
    own = BookSettings(symbol="ES-SIM", strategy={"name": "eighty_percent_rule"}, max_contracts=2, margin_day=0.2)
    settings = SETTINGS.model_copy(update={"books": {"re80": own}, "account": {"max_contracts": 5}})
    both = [
        DeskBook(one, bars, Backtests(results[one.name], {}))
        for one in (book("ES-SIM", settings), book("re80", settings))
    ]

    default, named = desk_orders(both)

    assert (default.max_contracts, default.max_positions, default.margin_day) == (5, 1, None)
    assert (named.max_contracts, named.max_positions, named.margin_day) == (2, 1, 0.2)


def test_another_limit_or_another_rule_of_a_book_is_another_trial_of_the_desk() -> None:
    rules = {name: rule_choices(SETTINGS.for_book(name), ES) for name in ("re80", "twin")}

    same = desk_choices(SETTINGS, rules)
    limited = desk_choices(SETTINGS.model_copy(update={"desk": DeskSettings(max_positions=1)}), rules)
    turned = desk_choices(SETTINGS, dict(reversed(rules.items())))
    other = desk_choices(SETTINGS, {**rules, "twin": rules["re80"]})

    assert same == desk_choices(SETTINGS, rules)
    assert all(each != same for each in (limited, turned, other))
