"""Commands and code of the README, the tutorial and the page on settings work as printed."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pipeline.home import PROJECT, Home
from pipeline.market import load_instruments
from pipeline.settings import load_settings

README = (PROJECT / "README.md").read_text()
SETTINGS = (PROJECT / "docs" / "settings.md").read_text()
TUTORIAL = (PROJECT / "docs" / "tutorial.md").read_text()


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def test_documented_settings_are_settings(tmp_path: Path) -> None:
    settings = next(block for block in blocks(SETTINGS, "yaml") if block.startswith("account:"))
    (tmp_path / "settings.yaml").write_text(settings)

    loaded = load_settings(Home(tmp_path))

    written = yaml.safe_load(settings)
    assert loaded.account == written["account"]
    assert loaded.simulator.sessions == written["simulator"]["sessions"]
    assert loaded.history.ticks_per_row == written["history"]["ticks_per_row"]
    assert loaded.strategy.parameters.stop_atr_factor == written["strategy"]["stop_atr_factor"]


def test_documented_instrument_is_an_instrument(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = next(block for block in blocks(SETTINGS, "yaml") if block.startswith("CL:"))
    (tmp_path / "mine.yaml").write_text(entry)
    monkeypatch.setenv("VPOC_INSTRUMENTS", str(tmp_path / "mine.yaml"))

    instruments = load_instruments()

    assert instruments["CL"].tick_value == 10.0
    assert instruments["ES"].tick_value == 12.5


@pytest.mark.parametrize("page", ["README.md", "docs/strategy.md"])
def test_documented_python_runs(page: str) -> None:
    for block in blocks((PROJECT / page).read_text(), "python"):
        exec(compile(block, page, "exec"), {})  # noqa: S102


def test_readme_links_lead_somewhere() -> None:
    targets = re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", README)

    missing = [target for target in targets if "://" not in target and not (PROJECT / target).exists()]

    assert missing == []


@pytest.mark.parametrize("page", sorted((PROJECT / "docs").glob("*.md")), ids=lambda page: page.name)
def test_documents_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+?)(?:#[^)]*)?\)", page.read_text())

    missing = [target for target in targets if "://" not in target and not (page.parent / target).exists()]

    assert missing == []


@pytest.mark.slow
def test_tutorial_runs_from_start_to_end(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    # The tutorial's market in small: what is shown is the same.
    (home / "settings.yaml").write_text(
        "simulator: {start: 2021-01-04, sessions: 60, seed: 3, bar: 15min}\nmodels: {families: []}\n"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("VPOC_", "DAGSTER_"))}
    environment |= {"VPOC_HOME": str(home), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}

    ended = subprocess.run(
        ["bash", "-euo", "pipefail"],
        input="\n".join(blocks(TUTORIAL, "bash")),
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=600,
    )

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "account.risk_per_trade is now 0.005" in ended.stdout
    assert "2 trials" in ended.stdout
    assert (home / "reports" / "ES.html").is_file()
    # 20 points at $50, less $5 on each side; the other order's price is never reached.
    shown = [line.split() for line in ended.stdout.splitlines()]
    assert ["net", "$990.00"] in shown
    assert ["closed", "1"] in shown
    assert ["not_reached", "1"] in shown
