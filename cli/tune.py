"""``vpoc tune``: search a model family's hyperparameters or the strategy's parameters, and count every trial."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer
import yaml

from cli.options import BookOption, JsonOption, MadeSymbolOption, chosen_book
from cli.progress import shown_while
from cli.quiet import quieten
from cli.screen import Console
from pipeline.books import Book
from pipeline.environment import prepare_environment
from pipeline.errors import ConfigurationError
from pipeline.home import Home, vpoc_home
from pipeline.settings import flat_settings, require_settings, setting_name

if TYPE_CHECKING:
    import pandas as pd

    from jobs.progress import Observer

__all__ = ["tune"]


def tune(
    target: Annotated[
        str | None,
        typer.Argument(
            help="A model family such as lightgbm; strategy; strategy@lightgbm, traded by its scores; or "
            "strategy+lightgbm, both at once."
        ),
    ] = None,
    symbol: MadeSymbolOption = None,
    book: BookOption = None,
    trials: Annotated[
        int | None, typer.Option(min=1, show_default="50", help="Trials of the study, earlier runs included.")
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(min=1, help="Time limit of this run; trials in progress are finished.")
    ] = None,
    objective: Annotated[
        list[str] | None,
        typer.Option(
            help="log_loss, net, sharpe_low or drawdown; repeat for a Pareto front.",
            show_default="log_loss; sharpe_low of the strategy",
        ),
    ] = None,
    sampler: Annotated[str | None, typer.Option(help="tpe, cmaes or random.", show_default="tpe")] = None,
    pruner: Annotated[str | None, typer.Option(help="hyperband, median or none.", show_default="median")] = None,
    patience: Annotated[
        int | None, typer.Option(min=1, help="Stop after this many trials without improvement.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes that share the study.", show_default="1")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of the search. [default: the settings' seed]")] = None,
    dashboard: Annotated[
        bool, typer.Option("--dashboard", help="Show all studies in Optuna Dashboard, on this machine only.")
    ] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of Optuna Dashboard; 0 for a free one.")] = 8080,
    apply: Annotated[
        bool, typer.Option("--apply", help="Write the best parameters into settings.yaml; the old file is kept.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Search parameters on the results of 'vpoc run' for a book; called again, it resumes.

    Every trial is recorded for good: the result shows how many there were, and what that leaves of the best. Options
    left out are taken from 'tuning' in settings.yaml. Ctrl-C ends the study with the best so far. Only --apply puts the
    best to use.
    """
    home = vpoc_home()
    if dashboard:
        _open_dashboard(home, target, port)
        return
    if target is None:
        raise ConfigurationError(
            "name what to tune: a model family such as lightgbm, strategy, strategy@lightgbm or "
            "strategy+lightgbm; or use --dashboard to browse the studies"
        )
    from pipeline.studies import study_settings
    from pipeline.tuning.targets import StudyTarget

    overrides = {
        "trials": trials,
        "seconds": seconds,
        "objectives": objective or None,
        "sampler": sampler,
        "pruner": pruner,
        "patience": patience,
        "seed": seed,
    }
    # Mistakes are reported before anything starts.
    require_settings(home)
    traded = chosen_book(home, symbol, book)
    chosen = study_settings(StudyTarget.of(target), traded.settings, **overrides)
    if apply and len(chosen.objectives) > 1:
        raise ConfigurationError(
            "--apply needs a single best trial, but several objectives give a front: name one objective"
        )
    prepare_environment(home)
    given = {name: value for name, value in {**overrides, "workers": workers}.items() if value is not None}
    console = Console(stderr=True) if as_json else Console()

    def chain(observe: "Observer") -> None:
        quieten()
        from jobs.chain import run_study
        from pipeline.definitions import defs

        run_study(defs, traded.name, target, given, observe)

    shown_while(console, chain)
    frame = _trials(target, traded.name)
    document = frame.attrs["document"]
    if as_json:
        typer.echo(json.dumps(document, indent=2))
    else:
        _tell(console, document, frame.attrs["folder"], apply=apply)
    if apply:
        _apply(console, home, traded, document)


def _apply(console: Console, home: Home, book: Book, document: dict[str, Any]) -> None:
    from pipeline.settings_file import change_settings

    found = flat_settings(document["settings"])
    if book.name in book.settings.books:
        own = f"books.{book.name}."
        named = {name: setting_name(name) for name in found}
        found = {(own if to.startswith("strategy.") else "") + to: found[name] for name, to in named.items()}
    kept = change_settings(home, found)
    before = f"; the previous settings are in {kept}" if kept is not None else ""
    console.sentence(f"Written to {home.settings}{before}")


def _open_dashboard(home: Home, target: str | None, port: int) -> None:
    if target is not None:
        raise ConfigurationError(f"--dashboard shows all studies: leave out {target}")
    from cli.pages.optuna_page import serve_dashboard
    from pipeline.tuning.database import tuning_url

    prepare_environment(home)
    console = Console(soft_wrap=True, highlight=False)
    serve_dashboard(tuning_url(home), port=port, say=console.print)


def _trials(target: str, book: str) -> "pd.DataFrame":
    import dagster as dg
    import pandas as pd

    from assets.partitions import of_book
    from pipeline.definitions import defs

    key = of_book(target, book)
    with dg.DagsterInstance.get() as instance:
        loader = defs.get_asset_value_loader(instance)
        frame: pd.DataFrame = loader.load_asset_value("studies", partition_key=key, python_type=pd.DataFrame)
    return frame


def _tell(console: Console, document: dict[str, Any], folder: str, *, apply: bool) -> None:
    def say(text: str) -> None:
        console.sentence(text)

    counts, best = document["trials"], document["best"]
    say(
        f"{document['symbol']} {document['target']}: {sum(counts.values())} trials, {counts['pruned']} pruned, "
        f"{counts['failed']} failed, stopped by {document['stopped']}"
    )
    if len(best["values"]) > 1:
        say(f"Pareto front, {len(document['front'])} trials:")
        for one in document["front"]:
            say(f"  trial {one['trial']}: {one['values']} {one['params']}")
    else:
        say(f"best: trial {best['trial']}, {best['values']}")
        say(yaml.safe_dump(document["settings"], sort_keys=False).rstrip())
        if not apply:
            say("These are not in use yet: run the same command with --apply to write them into settings.yaml.")
    for remark in document["remarks"]:
        say(remark)
    say(document["said"])
    deflated, overfitting = document["deflated_sharpe_ratio"], document["probability_of_overfitting"]
    say(
        "Deflated Sharpe ratio of the best (the chance that the true one is above 0, given so many trials): "
        + (
            "unknown: it traded nothing, or fewer than two trials have a Sharpe ratio"
            if deflated is None
            else f"{100 * deflated:.1f} %"
        )
    )
    say(
        "Probability of overfitting of all these trials (CSCV): "
        + ("unknown" if overfitting is None else f"{100 * overfitting:.0f} %")
    )
    say("The best of many is always partly luck: only sessions that no trial has seen will show what it is worth.")
    say(f"Pictures   {folder}")
