"""What ``vpoc strategy check`` finds of a strategy, in plain words."""

import json
import math
from typing import Any

import typer
from rich.text import Text

from cli.bars import bars_of
from cli.options import Reading
from cli.screen import Console
from pipeline.audit.strategy_check import MarketCheck, NullCheck, check_on_bars, check_on_null_markets
from pipeline.datasets import SIMULATED_SUFFIX
from pipeline.home import vpoc_home
from pipeline.performance import summary, verdict
from pipeline.settings import load_settings
from pipeline.strategy import TradingRules, make_strategy

__all__ = ["check_and_show"]

_SLOW = 60.0


def check_and_show(name: str, file: str | None, symbol: str | None, reading: Reading, *, as_json: bool) -> None:
    """Check a strategy on both kinds of market and print what was found; exit 1 where something is wrong."""
    settings = load_settings(vpoc_home())
    strategy = settings.strategy if settings.strategy.name == name else make_strategy(name)
    rules = TradingRules(settings.history, strategy)
    key = (symbol or "ES").removesuffix(SIMULATED_SUFFIX)
    markets: list[tuple[str | None, str]] = [(None, key + SIMULATED_SUFFIX)]
    if file is not None or (symbol is not None and not symbol.endswith(SIMULATED_SUFFIX)):
        markets.append((file, key))
    console, found = Console(stderr=True), {}
    for source, which in markets:
        with console.status(f"Reading {source or which}"):
            taken = bars_of(source, which, reading if source is not None else {})
            bars, instrument, title = taken.bars, taken.instrument, taken.description
        with console.status(f"Deciding on {len(bars):,} bars, then again on bars cut off"):
            account = settings.account_for(instrument)
            found[title] = check_on_bars(rules, bars, instrument, account, seed=settings.seed)
    with console.status("Trading markets on which nothing can be earned"):
        null = check_on_null_markets(rules, instrument, account, seed=settings.seed)
    passed = null.passed and all(each.passed for each in found.values())
    if as_json:
        markets_told = {title: _document(each) for title, each in found.items()}
        typer.echo(
            json.dumps({"passed": passed, "markets": markets_told, "null_market": _null_document(null)}, indent=2)
        )
    else:
        _show(name, found, null, settings.seed)
    if not passed:
        raise typer.Exit(1)


def _show(name: str, found: dict[str, MarketCheck], null: NullCheck, seed: int) -> None:
    console = Console()
    for title, market in found.items():
        console.print(Text(title, "bold"))
        if market.error:
            console.sentence(Text.assemble(("It stopped: ", "bold red"), market.error))
            continue
        console.sentence(
            f"{market.candidates:,} candidates in {market.sessions:,} sessions, {market.signals:,} of them rule "
            f"signals; decided in {market.seconds:.1f} s."
        )
        if market.seconds > _SLOW:
            console.sentence("That is slow: a run decides about twenty times, in the audit and for each model.")
        for finding in market.findings:
            console.sentence(Text.assemble(("Look-ahead: ", "bold red"), finding.sentence))
        if market.findings:
            console.sentence("So what it earns there says nothing.")
            continue
        console.sentence("On bars cut off at many decisions it decides the same, to the bit: no look-ahead found.")
        for label, result in market.results.items():
            if len(result.trades):
                told = verdict(summary(result, seed=seed, currency=result.instrument.currency))
                console.sentence(f"{label}, {len(result.trades):,} trades: {told}")
            else:
                console.sentence(f"{label}: no trades.")
    console.print(Text("A market on which nothing can be earned", "bold"))
    if null.error:
        console.sentence(Text.assemble(("It stopped: ", "bold red"), null.error))
    elif math.isnan(null.score):
        console.sentence(f"{null.trades} trades are too few to judge by.")
    else:
        earned = f"${null.mean:,.2f} ± {null.standard_error:,.2f} per trade of one contract before costs"
        console.sentence(f"{null.trades:,} trades of all candidates, {earned}.".replace("$-", "−$"))
        if null.passed:
            console.sentence("As it should be: nothing that chance does not explain.")
        else:
            told = f"that is {null.score:.1f} standard errors above zero, where there is nothing to earn"
            console.sentence(Text.assemble(("It sees the future: ", "bold red"), told))
    if null.passed and all(each.passed for each in found.values()):
        console.sentence(Text.assemble(("Nothing is wrong with ", "green"), (name, "green"), (".", "green")))


def _document(market: MarketCheck) -> dict[str, Any]:
    return {
        "passed": market.passed,
        "error": market.error,
        "sessions": market.sessions,
        "candidates": market.candidates,
        "rule_signals": market.signals,
        "seconds": round(market.seconds, 3),
        "findings": [finding.sentence for finding in market.findings],
        "trades": {label: len(result.trades) for label, result in market.results.items()},
        "net": {label: float(result.trades["pnl"].sum()) for label, result in market.results.items()},
    }


def _null_document(null: NullCheck) -> dict[str, Any]:
    score = None if math.isnan(null.score) else null.score
    mean = None if math.isnan(null.mean) else null.mean
    return {"passed": null.passed, "error": null.error, "trades": null.trades, "mean": mean, "standard_errors": score}
