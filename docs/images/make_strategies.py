"""The pictures and figures of docs/strategies.md.

``python docs/images/make_strategies.py`` draws a trade of each strategy on the simulated market, beside this file, and
writes what the strategies declare into the page. With a file of ES bars, ``… make_strategies.py es_5min.parquet``, it
backtests each of them there too, as ``vpoc backtest`` does, and writes the results.
"""

import os
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.choices import backtest_look, rule_choices
from pipeline.datasets import FileSource
from pipeline.home import PROJECT
from pipeline.look_count import LookCount, count_backtests, record_backtests
from pipeline.market import find_instrument, session_schedule, simulate_market
from pipeline.market.cleaning import clean_bars
from pipeline.performance import format_estimate, format_value, summary
from pipeline.pictures import palette
from pipeline.pictures.trade import Level, trade_png
from pipeline.replays import Replays
from pipeline.research import RULES, Research, run_research
from pipeline.settings import Settings
from pipeline.strategy import HistorySettings, Strategy, make_strategy

ES = find_instrument("ES")
HERE, PAGE = Path(__file__).parent, PROJECT / "docs" / "strategies.md"
BOX = (
    "value_area_fade",
    "eighty_percent_rule",
    "initial_balance_breakout",
    "value_area_breakout",
    "naked_vpoc_magnet",
    "opening_gap_fill",
    "trend_continuation",
)
LONG_ENOUGH = 8  # bars of a trade that is drawn
TOLD = {
    "trades": "trades",
    "win_rate": "win rate",
    "profit_factor": "profit factor",
    "sharpe_ratio": "Sharpe ratio",
    "pnl_before_costs_ticks": "before costs, a contract",
    "pnl_ticks": "net, a contract",
    "pnl": "net",
    "maximum_drawdown": "maximum drawdown",
    "ambiguous": "ambiguous",
}


@dataclass(frozen=True)
class Backtested:
    """A strategy's backtests on a file of bars."""

    research: Research
    summaries: Mapping[str, pd.DataFrame]
    rates: pd.DataFrame
    counted: LookCount


def fill(page: str, name: str, text: str) -> str:
    """Replace what stands between the marks of a name."""
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    if begin not in page:
        raise SystemExit(f"{PAGE} has no mark {begin}")
    return re.sub(f"{re.escape(begin)}.*?{re.escape(end)}", lambda _: f"{begin}\n{text}\n{end}", page, flags=re.DOTALL)


def table(head: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown."""
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [head, ["---"] * len(head), *rows])


def meanings(model: type) -> dict[str, str]:
    """Meaning of each parameter, from the section Attributes of the model's docstring."""
    found: dict[str, str] = {}
    names: list[str] = []
    for line in (model.__doc__ or "").partition("----------")[2].splitlines():
        if re.fullmatch(r"    [a-z]\w*(, \w+)*", line):
            names = line.strip().split(", ")
        elif line.startswith("        "):
            found |= {name: f"{found.get(name, '')} {line.strip()}".strip() for name in names}
        elif line.strip():
            break
    return {name: text.replace("``", "`").rstrip(".") for name, text in found.items()}


def parameter_table(strategy: Strategy) -> str:
    """Parameters with their defaults, where ``vpoc tune`` searches, and what they mean."""
    meaning = meanings(type(strategy.parameters))
    values = strategy.parameters.model_dump(mode="json")
    history = HistorySettings().model_dump(mode="json")
    rows = []
    for name in [*values, *(name for name in strategy.space if name not in values)]:
        searched = strategy.space[name].in_words.replace("|", "/") if name in strategy.space else "–"
        value = values.get(name, history.get(name))
        shown = ", ".join(f"{k} {v:g}" for k, v in value.items()) if isinstance(value, Mapping) else f"{value}"
        of = meaning.get(name) or ("of the history" if name in history else "of the account")
        rows.append([f"`{name}`", "none" if value is None else shown, searched, of])
    return table(["parameter", "default", "searched", "meaning"], rows)


def gate_table(strategy: Strategy, real: pd.DataFrame) -> str:
    """Pass rates of the gates by chance and on real bars."""
    chance, titles = strategy.null_rates(HistorySettings()), strategy.titles()
    rows = [
        [
            f"{titles[gate]}",
            f"{100 * line['pass_rate']:.1f} ± {100 * line['standard_error']:.1f}",
            f"{100 * real.loc[gate, 'pass_rate']:.1f} ± {100 * real.loc[gate, 'standard_error']:.1f}",
        ]
        for gate, line in chance.iterrows()
    ]
    return table(["gate", "by chance, %", "real ES, %"], rows)


def result_table(found: Backtested) -> str:
    """Figures of all candidates and of the rule signals, and how the orders ended."""
    parts = found.summaries
    rows = [[words, *(format_estimate(part.loc[name]) for part in parts.values())] for name, words in TOLD.items()]
    counted = found.counted.document()
    chances = (format_value(counted["deflated_sharpe_ratio"][name], "%") for name in parts)
    rows.append([f"Sharpe above 0, after {counted['trials']} trials", *chances])
    rows.append(["orders", *(format_value(part.loc["orders", "value"], "orders") for part in parts.values())])
    ends = {name: result.orders.groupby(["status", "reason"]).size() for name, result in found.research.results.items()}
    for status, reason in sorted({end for counts in ends.values() for end in counts.index}):
        words = str(status).replace("_", " ")
        words += f": {reason.replace('_', ' ')}" if reason and reason != status else ""
        rows.append([f"– {words}", *(f"{counts.get((status, reason), 0):,}" for counts in ends.values())])
        if status == "closed":
            exits = [result.trades["exit_reason"].value_counts() for result in found.research.results.values()]
            for exit_reason in sorted({each for counts in exits for each in counts.index}):
                words = f"– – by {exit_reason.replace('_', ' ')}"
                rows.append([words, *(f"{counts.get(exit_reason, 0):,}" for counts in exits)])
    return table(["", *parts], rows)


def overview(found: Mapping[str, Backtested]) -> str:
    """A row a strategy: its rule signals."""
    rows = []
    for name, each in found.items():
        part, strategy = each.summaries[RULES], make_strategy(name)
        lines = [
            format_estimate(part.loc[key])
            for key in ("trades", "pnl_before_costs_ticks", "profit_factor", "sharpe_ratio", "pnl")
        ]
        link = f"[{strategy.title}](#{strategy.title.lower().replace('%', '').replace(' ', '-')})"
        rows.append([link, when(strategy), *lines])
    return table(
        ["strategy", "decides", "trades", "before costs, a contract", "profit factor", "Sharpe ratio", "net"], rows
    )


def when(strategy: Strategy) -> str:
    """When it decides, in a few words."""
    minutes = strategy.decision_minutes()
    if not minutes:
        return "at the close before"
    return (
        f"{minutes[0]} min after the open" if len(minutes) == 1 else f"{minutes[0]} to {minutes[-1]} min after the open"
    )


def backtests(file: str) -> Iterator[tuple[str, Backtested]]:
    """Backtest all of them on a file, as ``vpoc backtest`` does, and count each as a trial before judging any."""
    bars = clean_bars(FileSource(path=file).read("ES").frame, ES).bars
    done = {}
    for name in BOX:
        settings = Settings(strategy=name)
        research = run_research(bars, ES, settings)
        look = backtest_look("ES", "rules", rule_choices(settings, ES), research.results[RULES])
        if failed := record_backtests([look]):
            raise SystemExit(failed)
        seen = Replays(bars, ES).decide(settings.rules).seen
        done[name] = research, settings.strategy.pass_rates(seen)
    for name, (research, rates) in done.items():
        parts = {key: summary(result) for key, result in research.results.items()}
        yield name, Backtested(research, parts, rates, count_backtests("ES", ES, research.results, parts))


def rth_open(session: pd.Timestamp) -> pd.Timestamp:
    """When regular hours of a session open."""
    return pd.Timestamp(session_schedule(ES, session, session)["rth_open"].iloc[0])


def levels(name: str, research: Research, trade: pd.Series, order: pd.Series, bars: pd.DataFrame) -> list[Level]:
    """Lines of a strategy's picture: what it refers to."""
    begin, last = rth_open(order["session"]), research.history.loc[order["decided_on"]]
    value = Level("VAL", last["val"], last["vah"], "VAH")
    span = Level("last low", last["low"], last["high"], "last high", colour=palette.MUTED)
    vpoc = Level("VPOC", last["vpoc"], colour=palette.VPOC)
    close = Level("last close", last["close"], colour=palette.MUTED)
    today = bars[bars["timestamp"] >= begin]
    opening = Level("open", today["open"].iloc[0], begin=begin, colour=palette.MUTED)
    if name == "initial_balance_breakout":
        first = today[today["timestamp"] < order["live_from"]]
        low, high = first["low"].min(), first["high"].max()
        group = research.signals[research.signals["group"] == order["group"]]
        other = group["entry"][group["side"] != order["side"]].iloc[0]
        return [
            Level("balance", low, high, begin=begin, end=order["live_from"], colour=palette.BALANCE),
            Level("other entry", other, begin=order["live_from"], end=trade["entry_time"], colour=palette.MUTED),
        ]
    if name == "naked_vpoc_magnet":
        vpocs = research.history["vpoc"][: order["decided_on"]]
        made = vpocs[vpocs == order["target"]].index[-1]
        return [Level(f"naked VPOC, {made:%d %b}", order["target"], colour=palette.NAKED), close]
    return {
        "value_area_fade": [value, vpoc],
        "eighty_percent_rule": [value, opening],
        "value_area_breakout": [value, vpoc],
        "opening_gap_fill": [span, opening],
        "trend_continuation": [span],
    }[name]


def draw(name: str, bars: pd.DataFrame) -> str:
    """Draw the first rule signal that went as meant; return the session."""
    research = run_research(bars, ES, Settings(strategy=name))
    result = research.results[RULES]
    trades = result.trades.join(result.orders[["entry"]], on="order")
    meant = trades["exit_reason"] == ("trailed_stop" if name == "trend_continuation" else "target")
    # Filled where the order stood, not at an open beyond it.
    usual = trades["entry"].isna() | ((trades["entry_price"] - trades["entry"]).abs() <= ES.tick_size)
    trade = trades[meant & usual & (trades["pnl"] > 0) & (trades["bars_held"] >= LONG_ENOUGH)].iloc[0]
    order = result.orders.loc[trade["order"]]
    simulated = ES.model_copy(update={"symbol": "Simulated ES"})
    picture = trade_png(bars, simulated, order, trade, levels(name, research, trade, order, bars))
    (HERE / f"strategy_{name}.png").write_bytes(picture)
    return f"{trade['session']:%F}"


def main() -> None:
    """Draw, and write the page."""
    simulated = Settings().simulator
    bars = simulate_market(ES, f"{simulated.start}", simulated.sessions, simulated.seed, bar=simulated.bar)
    page = PAGE.read_text()
    for name in BOX:
        strategy = make_strategy(name)
        session = draw(name, bars)
        about = f"{strategy.description}\n\n*Source:* {strategy.source}. *Decides* {when(strategy)}."
        page = fill(page, f"{name}: about", about)
        picture = f"![{strategy.title}: a trade of the simulated market on {session}](images/strategy_{name}.png)"
        page = fill(page, f"{name}: parameters", f"{picture}\n\n{parameter_table(strategy)}")
    if len(sys.argv) > 1:
        with tempfile.TemporaryDirectory() as home:
            os.environ["VPOC_HOME"] = home  # whose ledger counts these trials alone
            found = dict(backtests(sys.argv[1]))
        for name, each in found.items():
            page = fill(page, f"{name}: gates", gate_table(make_strategy(name), each.rates))
            page = fill(page, f"{name}: results", result_table(each))
        page = fill(page, "overview", overview(found))
        said: Any = next(iter(found.values())).counted.document()["said"]
        page = fill(page, "trials", said)
    PAGE.write_text(page)


if __name__ == "__main__":
    main()
