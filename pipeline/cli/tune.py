"""``vpoc tune``: search a model family's hyperparameters or the strategy's parameters, and say how often was looked."""

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer
import yaml
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as ProgressBar

from pipeline.cli.options import JsonOption
from pipeline.cli.quiet import quieten
from pipeline.datasets import Dataset, find_dataset
from pipeline.environment import prepare_environment
from pipeline.errors import DataError
from pipeline.home import Home, vpoc_home
from pipeline.settings import Settings, load_settings

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from pipeline.tuning.campaign import Campaign, KeptMoney, Subject
    from pipeline.tuning.study import Progress, StudyResult

__all__ = ["tune"]

STRATEGY = "strategy"


def tune(
    target: Annotated[str, typer.Argument(help="A model family such as lightgbm, or strategy.")],
    symbol: Annotated[str, typer.Option("--symbol", "-s", help="Whose candidates or bars.")] = "ES",
    trials: Annotated[int, typer.Option(min=1, help="Budget of the study, earlier runs included.")] = 50,
    seconds: Annotated[float | None, typer.Option(min=1, help="Budget of this run; none without.")] = None,
    objective: Annotated[
        list[str] | None,
        typer.Option(
            help="log_loss, net, sharpe_low or drawdown; several times for a Pareto front. "
            "[default: log_loss, of the strategy sharpe_low]"
        ),
    ] = None,
    sampler: Annotated[str, typer.Option(help="tpe, cmaes or random.")] = "tpe",
    pruner: Annotated[str, typer.Option(help="hyperband, median or none.")] = "median",
    patience: Annotated[int | None, typer.Option(min=1, help="Trials without improvement to stop after.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes that share the study.")] = 1,
    seed: Annotated[int | None, typer.Option(min=0, help="Of the search; else the settings' seed.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Search parameters on what 'vpoc run' made of a symbol; called again it goes on where it was.

    Each trial is judged on purged inner folds, and remembered for good: the result says how often was looked, and what
    that leaves of the best.
    """
    home = vpoc_home()
    if target != STRATEGY:
        from pipeline.learning.models import find_family

        find_family(target)
    dataset = find_dataset(symbol, home)
    prepare_environment(home)
    quieten()
    from pipeline.tuning.campaign import run_campaign
    from pipeline.tuning.ledger import Ledger
    from pipeline.tuning.storage import open_storage, tuning_url
    from pipeline.tuning.study import StudySettings

    chosen = load_settings(home)
    objectives = tuple(objective or (("sharpe_low",) if target == STRATEGY else ("log_loss",)))
    study = StudySettings(
        objectives=objectives,
        sampler=sampler,
        pruner=pruner,
        trials=trials,
        seconds=seconds,
        patience=patience,
        seed=chosen.seed if seed is None else seed,
    )
    console = Console(stderr=True) if as_json else Console()
    make = _strategy_study if target == STRATEGY else _model_study
    subject, judge, kept, present = make(home, dataset, chosen, target, objectives)
    url = tuning_url(home)
    with _shown(console, trials) as observe:
        campaign = run_campaign(
            subject,
            judge,
            kept,
            study,
            open_storage(url),
            Ledger(url),
            enqueue=[present] if present is not None else [],
            observe=observe,
            workers=workers,
        )
    _keep_pictures(home, subject, campaign.result)
    if as_json:
        typer.echo(json.dumps(_document(subject, campaign), indent=2))
    else:
        _tell(console, home, subject, campaign)


def _model_study(
    home: Home, dataset: Dataset, settings: Settings, family: str, objectives: tuple[str, ...]
) -> "tuple[Subject, Any, KeptMoney, dict[str, Any] | None]":
    import pandas as pd

    from pipeline.learning.models import TrainingRows
    from pipeline.learning.models.rows import TRAINING_META
    from pipeline.learning.provenance import data_version
    from pipeline.tuning.campaign import KeptMoney, Subject
    from pipeline.tuning.model_target import ModelTarget

    selection = settings.models
    inputs = selection.model(family, settings.seed).inputs
    frame = _asset("training_set", dataset.key)
    own = [name for name in frame.columns if name in TRAINING_META]
    if inputs != "features":
        sequences = _asset("sequences", dataset.key).loc[frame.index]
        frame = pd.concat([frame if inputs == "both" else frame[own], sequences], axis=1)
    rows = TrainingRows.from_training_set(frame)
    if selection.weights == "equal":
        rows = TrainingRows(rows.features, rows.outcome.assign(weight=1.0))
    # Whoever tunes on everything has no untouched data left: what was found is judged on what comes after.
    version = data_version(frame, f"{dataset.identity} {selection.parameters.get(family)}")[:16]
    subject = Subject(
        dataset.key,
        family,
        version,
        # Its money is counted by the day of the decision.
        pd.DatetimeIndex(frame["decided_on"]).min(),
        pd.DatetimeIndex(frame["session"]).max(),
        settings.account_for(dataset.instrument).initial_capital,
    )
    kept = KeptMoney(_folder(home, subject) / "money")
    target = ModelTarget(
        family,
        rows,
        settings=selection.parameters.get(family),
        objectives=objectives,
        threshold=selection.threshold,
        periods_per_year=dataset.instrument.periods_per_year,
        seed=settings.seed,
        keep=kept,
    )
    return subject, target, kept, target.space.chosen_from(target.model({}).settings.model_dump())


def _strategy_study(
    home: Home, dataset: Dataset, settings: Settings, target: str, objectives: tuple[str, ...]
) -> "tuple[Subject, Any, KeptMoney, dict[str, Any] | None]":
    import pandas as pd

    from pipeline.learning.provenance import data_version
    from pipeline.tuning.campaign import KeptMoney, Subject
    from pipeline.tuning.strategy_target import StrategyTarget

    months = sorted((home.assets / "bars" / dataset.key).glob("*.parquet"))
    parts = [frame for frame in map(pd.read_parquet, months) if len(frame)]
    if not parts:
        raise DataError(f"{dataset.key} has no bars yet: run 'vpoc run --symbol {dataset.key}' first")
    bars = pd.concat(parts, ignore_index=True)
    account = settings.account_for(dataset.instrument)
    said = f"{dataset.identity} {settings.strategy.model_dump_json()} {account.model_dump_json()}"
    sessions = _asset("session_history", dataset.key).index
    version = data_version(bars[["timestamp", "close", "volume"]], said)[:16]
    subject = Subject(dataset.key, target, version, sessions.min(), sessions.max(), account.initial_capital)
    kept = KeptMoney(_folder(home, subject) / "money")
    judge = StrategyTarget(bars, dataset.instrument, settings.strategy, account, objectives=objectives, keep=kept)
    cutoff = account.entry_cutoff and f"{account.entry_cutoff:%H:%M}"
    present = {**settings.strategy.model_dump(), "account.entry_cutoff": cutoff}
    return subject, judge, kept, judge.space.chosen_from(present)


def _asset(name: str, key: str) -> "pd.DataFrame":
    import dagster as dg

    from pipeline.definitions import defs

    with dg.DagsterInstance.get() as instance:
        try:
            frame: pd.DataFrame = defs.get_asset_value_loader(instance).load_asset_value(name, partition_key=key)
        except dg.Failure as error:
            raise DataError(f"{error.description}: run 'vpoc run --symbol {key}' first") from error
    return frame


def _folder(home: Home, subject: "Subject") -> Any:
    return home.root / "tuning" / subject.symbol / f"{subject.target}-{subject.version}"


@contextmanager
def _shown(console: Console, trials: int) -> "Iterator[Callable[[Progress], None]]":
    """Progress while the study runs: how many, the best so far, pruned, the rate and what is left."""
    with ProgressBar(
        TextColumn("trials"),
        BarColumn(20),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[said]}"),
        console=console,
    ) as bar:
        task = bar.add_task("", total=trials, said="")

        def observe(progress: "Progress") -> None:
            done = progress.complete + progress.pruned + progress.failed
            rate = progress.here / progress.seconds if progress.seconds else math.nan
            left = f", {(trials - done) / rate:,.0f} s left" if rate and done < trials else ""
            best = (
                ""
                if progress.best is None
                else f"best {_values(progress.best.values)} (trial {progress.best.position}), "
            )
            said = f"{best}{progress.pruned} pruned, {progress.failed} failed, {rate:.1f}/s{left}"
            bar.update(task, completed=done, said=said)

        yield observe


def _keep_pictures(home: Home, subject: "Subject", result: "StudyResult") -> None:
    import pandas as pd

    from pipeline.reports.study_pictures import study_pictures

    rows = [
        {
            "number": trial.position,
            "state": trial.state,
            "values": trial.values or (),  # noqa: PD011 (no frame)
            "params": trial.params,
            "seconds": trial.seconds,
        }
        for trial in result.trials
    ]
    objectives = dict(zip(result.objectives, result.directions, strict=True))
    folder = _folder(home, subject)
    folder.mkdir(parents=True, exist_ok=True)
    for name, png in study_pictures(pd.DataFrame(rows), objectives, f"{subject.symbol} {subject.target}").items():
        (folder / name).write_bytes(png)


def _document(subject: "Subject", campaign: "Campaign") -> dict[str, Any]:
    result = campaign.result
    counts = {state: sum(trial.state == state for trial in result.trials) for state in ("complete", "pruned", "failed")}
    return {
        "symbol": subject.symbol,
        "target": subject.target,
        "study": result.name,
        "stopped": result.stopped,
        "seconds": result.seconds,
        "trials": counts,
        "best": {
            "trial": result.best.position,
            "values": _named(result, result.best.values),
            "params": result.best.params,
        },
        "front": [
            {"trial": one.position, "values": _named(result, one.values), "params": one.params} for one in result.front
        ],
        "looks": campaign.looks.count,
        "deflated_sharpe_ratio": _known(campaign.deflated_sharpe),
        "probability_of_overfitting": _known(campaign.overfitting),
    }


def _tell(console: Console, home: Home, subject: "Subject", campaign: "Campaign") -> None:
    result = campaign.result

    def say(text: str) -> None:
        console.print(text, soft_wrap=True, highlight=False, markup=False)

    say(f"{subject.symbol} {subject.target}: {len(result.trials)} trials, stopped by {result.stopped}")
    if len(result.objectives) > 1:
        say(f"Pareto front, {len(result.front)} trials:")
        for one in result.front:
            say(f"  trial {one.position}: {_named(result, one.values)} {one.params}")
    else:
        say(f"best: trial {result.best.position}, {_named(result, result.best.values)}")
        say(f"in {home.settings}:\n{_as_settings(subject.target, result.best.params)}")
    say(campaign.looks.sentence())
    deflated, overfitting = _known(campaign.deflated_sharpe), _known(campaign.overfitting)
    say(
        "Deflated Sharpe ratio of the best (the chance that it is above 0, after so many looks): "
        + ("unknown, for it or the others traded nothing" if deflated is None else f"{100 * deflated:.1f} %")
    )
    say("Probability of overfitting (CSCV): " + ("unknown" if overfitting is None else f"{100 * overfitting:.0f} %"))
    say("The best of many is always partly luck: what it is worth, sessions that no trial saw will tell.")
    say(f"Pictures   {_folder(home, subject)}")


def _as_settings(target: str, params: Mapping[str, Any]) -> str:
    if target != STRATEGY:
        return yaml.safe_dump({"models": {"parameters": {target: _plain(params)}}}, sort_keys=False).rstrip()
    sections: dict[str, dict[str, Any]] = {}
    for name, value in _plain(params).items():
        section, _, own = name.rpartition(".")
        sections.setdefault(section or "strategy", {})[own] = value
    return yaml.safe_dump(sections, sort_keys=False).rstrip()


def _plain(params: Mapping[str, Any]) -> dict[str, Any]:
    """As JSON writes them: a tuple is a list."""
    return dict(json.loads(json.dumps(dict(params), default=str)))


def _named(result: "StudyResult", values: tuple[float, ...] | None) -> dict[str, float]:
    return {name: float(f"{value:.6g}") for name, value in zip(result.objectives, values or (), strict=False)}


def _values(values: tuple[float, ...] | None) -> str:
    return ", ".join(f"{value:.5g}" for value in values or ())


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
