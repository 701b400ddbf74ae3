"""``vpoc models``: train models, list the registered ones, upload trainings that MLflow doesn't have yet."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.padding import Padding
from rich.text import Text

from cli.alone import symbol_alone
from cli.options import BookOption, JsonOption, MadeSymbolOption, chosen_book
from cli.progress import shown_while
from cli.quiet import quieten
from cli.screen import Console
from pipeline.environment import prepare_environment
from pipeline.errors import DataError
from pipeline.home import vpoc_home
from pipeline.settings import require_settings

if TYPE_CHECKING:
    from pathlib import Path

    from jobs.progress import Observer
    from resources.model_registry import Registered

__all__ = ["models"]

models = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Registered models, and trainings waiting for MLflow."
)


@models.command()
def train(
    families: Annotated[list[str], typer.Argument(help="Model families, such as lstm attention ensemble.")],
    symbol: MadeSymbolOption = None,
    book: BookOption = None,
) -> None:
    """Train model families on the results of 'vpoc run' for a book, and rebuild its report."""
    from pipeline.learning.models import find_family

    home = vpoc_home()
    require_settings(home)
    for family in families:
        find_family(family)
    families = list(dict.fromkeys(families))
    traded = chosen_book(home, symbol, book)
    prepare_environment(home)

    def chain(observe: "Observer") -> None:
        quieten()
        from jobs.chain import train_families
        from pipeline.definitions import defs

        train_families(defs, traded.name, families, observe)

    console = Console()
    with symbol_alone(home, traded.dataset.key, console):
        shown_while(console, chain)
    report = home.reports / f"{traded.name}.html"
    console.sentence(f"Report     {report}")
    console.print("Models     vpoc models list", highlight=False)


@models.command("list")
def list_(
    latest: Annotated[
        int, typer.Option(min=1, help="Versions to list per model; those with an alias are always listed.")
    ] = 3,
    as_json: JsonOption = False,
) -> None:
    """List the registered models, and trainings that are not uploaded yet."""
    home = vpoc_home()
    prepare_environment(home)
    quieten()
    from pipeline.learning.record import pending_records
    from resources.mlflow_store import mlflow_errors, open_store, sentence
    from resources.model_registry import registered_models

    waiting = [_described(folder) for folder in pending_records(home)]
    away, found = None, []
    try:
        found = registered_models(open_store(home), latest=latest)
    except mlflow_errors() as error:
        away = sentence(error)
    if as_json:
        registered = [{**asdict(one), "trained": one.trained and one.trained.isoformat()} for one in found]
        typer.echo(json.dumps({"registered": registered, "waiting": waiting, "away": away}, indent=2))
    else:
        _show(found, waiting, away)
    if away is not None:
        raise DataError(f"{away}; start it, or set MLFLOW_TRACKING_URI to another server")


@models.command()
def upload(as_json: JsonOption = False) -> None:
    """Upload the trainings that MLflow doesn't have yet, oldest first; existing ones stay as they are.

    Exit code 0: nothing is left to upload; 1: something is.
    """
    home = vpoc_home()
    prepare_environment(home)
    quieten()
    from pipeline.learning.record import pending_records
    from resources.mlflow_store import StoreUnreachableError, mlflow_errors, open_store, sentence
    from resources.model_upload import upload as upload_record

    console = Console(soft_wrap=True, highlight=False, quiet=as_json)
    waiting = pending_records(home)
    done: list[dict[str, Any]] = []
    failed: dict[str, str] = {}
    away = None
    if waiting:
        try:
            store = open_store(home)
        except mlflow_errors() as error:
            away = sentence(error)
    for folder in waiting if away is None else []:
        try:
            uploaded = upload_record(store, folder)
        except DataError as error:  # a fault of this record: others may be fine
            failed[_called(folder)] = str(error)
        except mlflow_errors() as error:
            failed[_called(folder)] = sentence(error)
            try:
                open_store(home)
            except StoreUnreachableError as gone:
                away = str(gone)
                break
        else:
            done.append({"training": _called(folder), "model": uploaded.name, "version": uploaded.version})
            done[-1]["run"] = uploaded.run
            console.print(f"{_called(folder)}: {uploaded.name} version {uploaded.version}, run {uploaded.run}")
    left = len(waiting) - len(done)
    if as_json:
        typer.echo(json.dumps({"uploaded": done, "failed": failed, "away": away, "waiting": left}, indent=2))
    elif not waiting:
        console.print("nothing to upload: MLflow has every training")
    for name, why in failed.items():
        Console(stderr=True, soft_wrap=True, highlight=False, quiet=as_json).print(f"{name}: {why}")
    if away is not None:
        raise DataError(
            f"{away}; {_trainings(left)} in {home.models}: start it, or set MLFLOW_TRACKING_URI to another server, "
            "and run 'vpoc models upload' again"
        )
    if left:
        raise DataError(f"{_trainings(left)} in {home.models}: fix the problems above, and run it again")


def _trainings(number: int) -> str:
    return f"{number} training{'s are' if number > 1 else ' is'} waiting"


def _called(folder: "Path") -> str:
    """A record as symbol/family/training."""
    return "/".join(folder.parts[-3:])


def _described(folder: "Path") -> dict[str, Any]:
    from pipeline.learning.record import read_record

    try:
        record = read_record(folder)
    except DataError as error:
        return {"training": _called(folder), "trained": None, "headline": {}, "broken": str(error)}
    return {
        "training": _called(folder),
        "trained": record.trained.isoformat(),
        "headline": dict(record.headline),
        "broken": None,
    }


def _show(found: "Sequence[Registered]", waiting: Sequence[dict[str, Any]], away: str | None) -> None:
    console = Console(highlight=False)
    for name in dict.fromkeys(one.name for one in found):
        console.print(name, soft_wrap=True)
        for version in (one for one in found if one.name == name):
            called = f" {', '.join(version.aliases)}" if version.aliases else ""
            trained = f"  {_minute(version.trained.isoformat())} UTC" if version.trained else ""
            console.print(f"  version {version.version}{called}{trained}", soft_wrap=True)
            if version.headline:
                console.print(Padding(Text(_figures(version.headline)), (0, 0, 0, 4)))
    if not found and away is None:
        console.print("no models are registered yet: 'vpoc run' trains and registers them", soft_wrap=True)
    if waiting:
        console.print(f"\n{_trainings(len(waiting))} for 'vpoc models upload':", soft_wrap=True)
    for one in waiting:
        text = one["broken"] or _figures(one["headline"])
        console.print(f"  {one['training']}  {_minute(one['trained'])}  {text}", soft_wrap=True)


def _figures(headline: Mapping[str, str]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in headline.items())


def _minute(time: str | None) -> str:
    return time[:16].replace("T", " ") if time else ""
