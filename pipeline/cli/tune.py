"""``vpoc tune``: search a model family's hyperparameters or the strategy's parameters, and say how often was looked."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer
import yaml

from pipeline.cli.options import JsonOption, MadeSymbolOption
from pipeline.cli.progress import shown_while
from pipeline.cli.quiet import quieten
from pipeline.cli.screen import Console
from pipeline.datasets import find_dataset, made_symbol
from pipeline.environment import prepare_environment
from pipeline.errors import ConfigurationError
from pipeline.home import Home, vpoc_home
from pipeline.settings import require_settings

if TYPE_CHECKING:
    import pandas as pd

    from pipeline.definitions import Observer

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
    trials: Annotated[
        int | None, typer.Option(min=1, show_default="50", help="Budget of the study, earlier runs included.")
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(min=1, help="Budget of this run, whose last trials are finished; none without.")
    ] = None,
    objective: Annotated[
        list[str] | None,
        typer.Option(
            help="log_loss, net, sharpe_low or drawdown; several times for a Pareto front.",
            show_default="log_loss; sharpe_low of the strategy",
        ),
    ] = None,
    sampler: Annotated[str | None, typer.Option(help="tpe, cmaes or random.", show_default="tpe")] = None,
    pruner: Annotated[str | None, typer.Option(help="hyperband, median or none.", show_default="median")] = None,
    patience: Annotated[int | None, typer.Option(min=1, help="Trials without improvement to stop after.")] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes that share the study.", show_default="1")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of the search; else the settings' seed.")] = None,
    dashboard: Annotated[
        bool, typer.Option("--dashboard", help="Show all studies on Optuna's page, on this machine only.")
    ] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of that page; 0 for a free one.")] = 8080,
    apply: Annotated[
        bool, typer.Option("--apply", help="Write the best parameters into settings.yaml; the old file is kept.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Search parameters on what 'vpoc run' made of a symbol; called again it goes on where it was.

    Each trial is remembered for good: the result says how often was looked, and what that leaves of the best. What is
    not given here is as 'tuning' in settings.yaml says. Ctrl-C ends the study with the best so far. The best is put to
    use by --apply alone.
    """
    home = vpoc_home()
    if dashboard:
        _open_dashboard(home, target, port)
        return
    if target is None:
        raise ConfigurationError(
            "nothing to tune is named: give a model family such as lightgbm, strategy, strategy@lightgbm or "
            "strategy+lightgbm; or --dashboard to look at the studies there are"
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
    # Mistakes are told before anything starts.
    symbol = symbol or made_symbol(home)
    chosen = study_settings(StudyTarget.of(target), require_settings(home), **overrides)
    if apply and len(chosen.objectives) > 1:
        raise ConfigurationError("--apply needs one best, and several objectives have a front: name one objective")
    find_dataset(symbol, home)
    prepare_environment(home)
    given = {name: value for name, value in {**overrides, "workers": workers}.items() if value is not None}
    console = Console(stderr=True) if as_json else Console()

    def chain(observe: "Observer") -> None:
        quieten()
        from pipeline.definitions import defs, run_study

        run_study(defs, symbol, target, given, observe)

    shown_while(console, chain)
    frame = _trials(target, symbol)
    document = frame.attrs["document"]
    if as_json:
        typer.echo(json.dumps(document, indent=2))
    else:
        _tell(console, document, frame.attrs["folder"], apply=apply)
    if apply:
        _apply(console, home, document)


def _apply(console: Console, home: Home, document: dict[str, Any]) -> None:
    from pipeline.settings_file import change_settings, flat_settings

    kept = change_settings(home, flat_settings(document["settings"]))
    before = f"; the settings before are in {kept}" if kept is not None else ""
    console.sentence(f"Written to {home.settings}{before}")


def _open_dashboard(home: Home, target: str | None, port: int) -> None:
    if target is not None:
        raise ConfigurationError(f"--dashboard shows all studies: leave {target} out")
    from pipeline.tuning.dashboard import serve_dashboard
    from pipeline.tuning.storage import tuning_url

    prepare_environment(home)
    console = Console(soft_wrap=True, highlight=False)
    serve_dashboard(tuning_url(home), port=port, say=console.print)


def _trials(target: str, symbol: str) -> "pd.DataFrame":
    import dagster as dg
    import pandas as pd

    from pipeline.definitions import defs, study_key

    key = study_key(target, symbol)
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
            say("These are not in use: the same command with --apply writes them into settings.yaml.")
    for remark in document["remarks"]:
        say(remark)
    say(document["said"])
    deflated, overfitting = document["deflated_sharpe_ratio"], document["probability_of_overfitting"]
    say(
        "Deflated Sharpe ratio of the best (the chance that it is above 0, after so many looks): "
        + (
            "unknown, for it traded nothing, or fewer than two trials have a Sharpe ratio"
            if deflated is None
            else f"{100 * deflated:.1f} %"
        )
    )
    say(
        "Probability of overfitting of all these trials (CSCV): "
        + ("unknown" if overfitting is None else f"{100 * overfitting:.0f} %")
    )
    say("The best of many is always partly luck: what it is worth, sessions that no trial saw will tell.")
    say(f"Pictures   {folder}")
