"""``vpoc config``: show the settings in force, and change them with checks."""

import json
from typing import Annotated, Any

import typer
from rich.text import Text

from cli.options import JsonOption
from cli.screen import Console
from pipeline.books import book_faults
from pipeline.errors import ConfigurationError
from pipeline.home import vpoc_home
from pipeline.settings import Settings, flat_settings, load_settings, setting_name
from pipeline.settings_file import change_settings
from pipeline.yaml_files import read_yaml_mapping, yaml_value

__all__ = ["config"]

config = typer.Typer(no_args_is_help=True, add_completion=False, help="Show the settings in force, and change them.")


@config.command()
def show(
    name: Annotated[str | None, typer.Argument(help="A setting or section, such as account.risk_per_trade.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show every setting with its value; those set in settings.yaml are highlighted."""
    home = vpoc_home()
    settings = load_settings(home)
    values = _in_force(settings)
    own = [setting_name(each) for each in flat_settings(read_yaml_mapping(home.settings, absent={}), empty=True)]
    if name is not None:
        name = setting_name(name)
        values = {key: value for key, value in values.items() if key == name or key.startswith(f"{name}.")}
        if not values:
            raise ConfigurationError(f"there is no setting {name}: 'vpoc config show' lists all of them")
    if as_json:
        typer.echo(json.dumps(values, indent=2))
        return
    for book, why in book_faults(home, settings).items():
        Console(stderr=True).sentence(f"Not used: book {book}: {why}")
    console = Console(soft_wrap=True, highlight=False)
    width = max(len(key) for key in values)
    for key, value in values.items():
        is_own = any(key == one or key.startswith(f"{one}.") for one in own)
        note = "  (settings.yaml)" if is_own else ""
        console.print(Text(f"{key:<{width}}  {json.dumps(value, ensure_ascii=False)}{note}", "bold" if is_own else ""))


@config.command("set")
def set_(
    name: Annotated[str, typer.Argument(help="The setting, such as account.risk_per_trade.")],
    value: Annotated[str, typer.Argument(help="Its value as in YAML: 0.5%, true, [lightgbm, mlp], {high: 31}.")],
) -> None:
    """Set a value in settings.yaml: comments are kept, and so is a copy of the old file."""
    given = yaml_value(value, f"{name} {value!r}")
    _changed({name: value if given is None else given}, name)


@config.command()
def unset(name: Annotated[str, typer.Argument(help="The setting to reset to its default.")]) -> None:
    """Remove a setting from settings.yaml, so that its default applies again."""
    _changed({name: None}, name)


def _changed(values: dict[str, Any], name: str) -> None:
    home = vpoc_home()
    kept = change_settings(home, values)
    console = Console(soft_wrap=True, highlight=False)
    name = setting_name(name)
    now = _in_force(load_settings(home))
    for key, value in now.items():
        if key == name or key.startswith(f"{name}."):
            console.print(f"{key} is now {json.dumps(value, ensure_ascii=False)}")
    if kept is not None:
        console.print(f"The previous settings are in {kept}")


def _in_force(settings: Settings) -> dict[str, Any]:
    from pipeline.backtest import Account

    whole = settings.model_dump(mode="json")
    whole["account"] = Account(**settings.account).model_dump(mode="json")
    return flat_settings(whole, empty=True)
