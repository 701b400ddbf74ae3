"""The desk: the books of the settings on one account, with its statistics and report."""

from collections.abc import Mapping

import dagster as dg
import pandas as pd

from assets.declared import OWNERS
from assets.groups import JUDGEMENT
from assets.looks import trained_choices
from assets.partitions import BOOKS, of_book, user_errors
from assets.shown_settings import shown_settings
from assets.tables import table
from pipeline.backtest import DeskResult, simulate_alone, simulate_desk
from pipeline.book_settings import DESK
from pipeline.choices import backtest_look, desk_choices, rule_choices
from pipeline.desks import DeskBook, desk_books, desk_of, desk_orders
from pipeline.errors import DataError
from pipeline.home import vpoc_home, write_whole
from pipeline.look_count import market_looks, record_backtests
from pipeline.performance import HEADLINE_METRICS, contribution, format_estimate, portfolio_to_dict
from pipeline.reports import PortfolioInputs, build_portfolio_report, portfolio_trades_csv
from pipeline.reports.portfolio.inputs import WHOLE
from pipeline.settings import Settings
from resources import PartitionedBacktests, PartitionedFrames, ResearchSettings

__all__ = ["desk_backtest"]

REPORT = f"{DESK}.html"
TRADES = f"{DESK}-trades.csv"


def _named() -> tuple[list[str], list[str], list[str]]:
    """Partitions that the desk takes, as the definitions found the settings: its books, models and symbols."""
    settings = shown_settings()
    known = set(BOOKS.get_partition_keys())
    names = [name for name in settings.desk_books if name in known]
    own = {name: settings.books[name] for name in names if name in settings.books}
    models = [of_book(book.model, name) for name, book in own.items() if book.model is not None]
    symbols = {own[name].symbol if name in own else name: None for name in names}
    return names, models, list(symbols)


def _taken(keys: list[str]) -> dg.AssetIn:
    mapping = dg.SpecificPartitionsPartitionMapping(keys)
    return dg.AssetIn(partition_mapping=mapping, metadata={"allow_missing_partitions": True})


_BOOKS, _MODELS, _SYMBOLS = _named()


@dg.asset(
    ins={"bar_history": _taken(_SYMBOLS), "rule_backtest": _taken(_BOOKS), "model_backtest": _taken(_MODELS)},
    group_name=JUDGEMENT,
    owners=OWNERS,
    kinds={"parquet", "plotly"},
    code_version="1",
)
def desk_backtest(
    context: dg.AssetExecutionContext,
    bar_history: PartitionedFrames,
    rule_backtest: PartitionedBacktests,
    model_backtest: PartitionedBacktests,
    settings: ResearchSettings,
) -> dg.Output[pd.DataFrame]:
    """The books of the desk on one account: shared equity, margin and limits; every figure of it, and its report.

    Each backtest of a desk counts as a trial on all of its markets, once for the same settings.
    """
    home = vpoc_home()
    with user_errors():
        chosen = settings.load()
        books = desk_books(home, chosen)
        if missing := [each.name for each in books if each.name not in _BOOKS]:
            raise DataError(
                f"the desk has got the book {missing[0]} since Dagster loaded its definitions: reload them in its page "
                "(Deployment, Reload), or restart 'vpoc ui'"
            )
        made = [
            DeskBook(
                each,
                _made(bar_history, each.dataset.key, f"vpoc run {each.option}"),
                rule_backtest.get(each.name),
                None if each.model is None else model_backtest.get(of_book(each.model, each.name)),
            )
            for each in books
        ]
        orders, desk = desk_orders(made), desk_of(chosen, books)
        result, alone = simulate_desk(orders, desk), simulate_alone(orders, desk)
        failed = _remember(chosen, made, result)
        if failed:
            context.log.warning(f"{failed}; this run's looks are not counted")
        sessions = pd.DatetimeIndex(result.session_equity.index)
        found = {each.name: market_looks(each.dataset.key, sessions) for each in books}
        inputs = PortfolioInputs(
            "Desk",
            result,
            simulated=[each.name for each in books if each.dataset.simulated],
            descriptions={each.book.name: _description(each) for each in made},
            alone=alone,
            looks={name: looks for name, looks in found.items() if looks is not None},
            trades_file=TRADES,
            seed=chosen.seed,
        )
        page = home.reports / REPORT
        write_whole(page.with_name(TRADES), portfolio_trades_csv(inputs))
        write_whole(page, build_portfolio_report(inputs))
    whole = pd.concat({WHOLE: inputs.summary, **inputs.summaries}, names=["book", "metric"])
    whole.attrs = {"document": portfolio_to_dict(result, alone, seed=chosen.seed), "report": str(page)}
    headline = inputs.summary.loc[list(HEADLINE_METRICS)]
    return dg.Output(
        whole,
        metadata={
            "books": ", ".join(inputs.books),
            "sessions": f"{sessions[0]:%F} to {sessions[-1]:%F}" if len(sessions) else "none",
            "headline": table(
                pd.DataFrame(
                    {
                        "metric": [str(name).replace("_", " ") for name in headline.index],
                        "desk": [format_estimate(row) for _, row in headline.iterrows()],
                    }
                )
            ),
            "contribution": table(contribution(result).reset_index()),
            "report": dg.MetadataValue.path(str(page)),
        },
    )


def _made(frames: Mapping[str, pd.DataFrame], key: str, run: str) -> pd.DataFrame:
    if key not in frames:
        raise DataError(f"{key} has no bar_history yet: '{run}' makes it")
    return frames[key]


def _description(made: DeskBook) -> str:
    strategy = made.book.settings.strategy.title
    return f"{made.book.dataset.title}, {strategy.lower()}, {made.trades_by}"


def _remember(settings: Settings, books: list[DeskBook], result: DeskResult) -> str:
    """Count the desk as a trial on each of its markets; why not, where that failed."""
    choices = {}
    for each in books:
        if each.book.model is None or each.model is None:
            choices[each.book.name] = rule_choices(each.book.settings, each.book.instrument)
        else:
            choices[each.book.name] = trained_choices(each.book, each.book.model, each.model)
    markets = dict.fromkeys(each.book.dataset.key for each in books)
    return record_backtests(backtest_look(market, DESK, desk_choices(settings, choices), result) for market in markets)
