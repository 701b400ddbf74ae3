"""``vpoc desk``: the books of the settings on one account, from the results of 'vpoc run'."""

import json
from typing import TYPE_CHECKING, Any

import typer
from rich import box
from rich.table import Table

from cli.alone import symbol_alone
from cli.options import JsonOption
from cli.progress import shown_while
from cli.quiet import quieten
from cli.screen import Console
from cli.tables import results_table
from pipeline.book_settings import DESK
from pipeline.desks import desk_books, desk_of
from pipeline.environment import prepare_environment
from pipeline.home import vpoc_home
from pipeline.settings import require_settings

if TYPE_CHECKING:
    import pandas as pd

    from jobs.progress import Observer

__all__ = ["desk"]


def desk(as_json: JsonOption = False) -> None:
    """Trade several books on one account: shared equity, margin and limits.

    The books are those of 'desk' in settings.yaml, or all of 'books', which docs/desk.md explains. Run each with
    'vpoc run' first. The desk's report and trades lie beside theirs.
    """
    home = vpoc_home()
    settings = require_settings(home)
    desk_of(settings, desk_books(home, settings))  # mistakes are reported before anything starts
    prepare_environment(home)

    def run(observe: "Observer") -> None:
        quieten()
        from jobs.chain import run_desk
        from pipeline.definitions import defs

        run_desk(defs, observe)

    console = Console(stderr=True) if as_json else Console()
    with symbol_alone(home, DESK, console):
        shown_while(console, run)
        summary = _made()
    if as_json:
        typer.echo(json.dumps({**summary.attrs["document"], "report": summary.attrs["report"]}, indent=2))
        return
    _show(console, summary)


def _made() -> "pd.DataFrame":
    import dagster as dg

    from pipeline.definitions import defs

    with dg.DagsterInstance.get() as instance:
        frame: pd.DataFrame = defs.get_asset_value_loader(instance).load_asset_value("desk_backtest")
    return frame


def _show(console: Console, summary: "pd.DataFrame") -> None:
    from pipeline.performance import verdict

    whole = str(summary.index.get_level_values(0)[0])
    console.print(results_table(summary.loc[[whole]], "Desk"))
    document = summary.attrs["document"]
    console.print(_books(document["books"], summary))
    spread, use = document["diversification"], document["margin_use"]
    console.sentence(f"{whole}: {verdict(summary.loc[whole])}")
    if spread["ratio"] is not None:
        console.sentence(
            f"The desk's daily P&L varies {100 * spread['ratio']:.0f} % as much as its books' added up; uncorrelated "
            f"books would make it {100 * spread['uncorrelated_ratio']:.0f} %."
        )
    console.sentence(
        f"Margin takes at most {100 * use['most']:.1f} % of equity; "
        f"positions closed by a margin call: {use['calls']:.0f}."
    )
    console.sentence(f"Report     {summary.attrs['report']}")


def _books(books: dict[str, dict[str, Any]], summary: "pd.DataFrame") -> Table:
    from pipeline.performance import format_line

    table = Table(title="Each book's part", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column("book", no_wrap=True)
    for name in ("trades", "net", "share", "share of risk", "Sharpe", "turned away"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, document in books.items():
        part = document["contribution"]
        table.add_row(
            name,
            f"{part['trades']:,.0f}",
            format_line(summary.loc[(name, "pnl")])[0],
            _share(part["pnl_share"]),
            _share(part["risk_share"]),
            format_line(summary.loc[(name, "sharpe_ratio")])[0],
            f"{sum(count or 0 for count in document['turned_away'].values()):,.0f}",
        )
    return table


def _share(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.0f} %".replace("-", "−")
