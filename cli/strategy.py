"""``vpoc strategy``: the strategies there are, and one's own."""

import json
from typing import Annotated, Any

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from cli.options import JsonOption, Reading, reads_a_file
from cli.screen import Console
from pipeline.errors import ConfigurationError
from pipeline.home import vpoc_home, write_whole
from pipeline.settings import load_settings
from pipeline.strategy import Strategy, make_strategy, strategies
from pipeline.strategy.registry import require_name, strategy_faults, strategy_place
from pipeline.strategy.skeleton import skeleton, skeleton_test

__all__ = ["strategy"]

strategy = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Trading strategies: those in the box, and your own."
)
Name = Annotated[str, typer.Argument(help="The strategy, as 'vpoc strategy list' names it.")]


@strategy.command("list")
def list_(as_json: JsonOption = False) -> None:
    """List the strategies; exit 1 if a file of yours can't be used."""
    faults = strategy_faults()
    if as_json:
        rows = [_declared(found()) for found in strategies().values()]
        typer.echo(json.dumps({"strategies": rows, "faults": [fault.sentence for fault in faults]}, indent=2))
    else:
        console = Console()
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0))
        for name in ("strategy", "", "decides", "from"):
            table.add_column(name, no_wrap=name == "strategy")
        for name, found in strategies().items():
            table.add_row(name, found.title, _when(found()), strategy_place(name) or "the box")
        console.print(table)
        for fault in faults:
            console.sentence(Text.assemble(("Not usable: ", "bold red"), fault.sentence))
    if faults:
        raise typer.Exit(1)


@strategy.command()
def show(name: Name, as_json: JsonOption = False) -> None:
    """Show what a strategy trades, its parameters and its gates, with the rate at which each opens by chance."""
    settings = load_settings(vpoc_home())
    found = settings.strategy if settings.strategy.name == name else make_strategy(name)
    rates = found.null_rates(settings.history, seed=settings.seed)
    if as_json:
        chance = {str(gate): float(rate) for gate, rate in rates["pass_rate"].items()}
        typer.echo(json.dumps({**_declared(found), "null_pass_rates": chance}, indent=2))
        return
    console = Console()
    console.print(Text(f"{found.title} ({name})", "bold"))
    console.sentence(found.description)
    console.print()
    console.sentence(f"Source     {found.source}")
    console.sentence(f"Decides    {_when(found)}")
    console.sentence(f"File       {strategy_place(name) or 'in the box'}")
    console.print(_parameters(found))
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("gate")
    table.add_column("passes by chance", justify="right")
    titles = found.titles()
    for gate, line in rates.iterrows():
        rate = "–" if line["paths"] == 0 else f"{100 * line['pass_rate']:.1f} % ± {100 * line['standard_error']:.1f}"
        table.add_row(titles.get(str(gate), str(gate)), rate)
    console.print(table)
    console.sentence(f"Chance: {int(rates['paths'].max())} decisions on {found.chance.lower()}.")


@strategy.command()
def new(name: Annotated[str, typer.Argument(help="Its name: small letters, digits and underscores.")]) -> None:
    """Write a strategy of your own to begin with, and its test, into VPOC_HOME/strategies."""
    folder = vpoc_home().strategies
    path, test = folder / f"{name}.py", folder / "tests" / f"test_{name}.py"
    require_name(name)
    if name in strategies():
        raise ConfigurationError(f"there is a strategy {name} already: {strategy_place(name) or 'in the box'}")
    for each in (path, test):
        if each.exists():
            raise ConfigurationError(f"{each} exists already: choose another name, or remove it")
    write_whole(path, skeleton(name))
    write_whole(test, skeleton_test(name, str(test)))
    console = Console()
    console.sentence(f"Strategy   {path}")
    console.sentence(f"Test       {test}")
    console.sentence(f"Next       edit it, then 'vpoc strategy check {name}'")


@strategy.command()
@reads_a_file
def check(
    name: Name,
    file: Annotated[
        str | None, typer.Argument(help="File, folder or glob with bars. [default: the symbol's own source]")
    ] = None,
    symbol: Annotated[str | None, typer.Option("--symbol", "-s", help="Instrument. [default: ES]")] = None,
    as_json: JsonOption = False,
    *,
    reading: Reading,
) -> None:
    """Run a strategy on simulated and on your bars, look for look-ahead, and trade it where nothing can be earned.

    Exit code 0: nothing is wrong with it; 1: something is, and it is said; 2: wrong use.
    """
    from cli.strategy_check import check_and_show

    check_and_show(name, file, symbol, reading, as_json=as_json)


def _parameters(found: Strategy) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("parameter", "value", "searched by 'vpoc tune'"):
        table.add_column(name)
    values = found.parameters.model_dump(mode="json")
    searched = {name: found.space[name].in_words for name in found.space}
    for name in [*values, *(each for each in searched if each not in values)]:
        value = json.dumps(values[name]) if name in values else "as set"
        table.add_row(name, value, searched.get(name, ""))
    return table


def _declared(found: Strategy) -> dict[str, Any]:
    return {
        "name": found.name,
        "title": found.title,
        "description": found.description,
        "source": found.source,
        "decision_minutes": list(found.decision_minutes()),
        "parameters": found.parameters.model_dump(mode="json"),
        "search_space": {name: found.space[name].in_words for name in found.space},
        "gates": dict(found.gates),
        "file": strategy_place(found.name),
    }


def _when(found: Strategy) -> str:
    minutes = found.decision_minutes()
    if not minutes:
        return "at the close before"
    if len(minutes) == 1:
        return f"{minutes[0]} min after the open"
    return f"{minutes[0]} to {minutes[-1]} min after the open, {len(minutes)} times"
