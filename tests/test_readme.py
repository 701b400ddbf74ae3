"""What the README shows works as it stands there."""

import re
from pathlib import Path

import pytest
import yaml

from pipeline.home import PROJECT, Home
from pipeline.market import load_instruments
from pipeline.settings import load_settings

README = (PROJECT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_readme_settings_are_settings(tmp_path: Path) -> None:
    settings = next(block for block in blocks("yaml") if block.startswith("account:"))
    (tmp_path / "settings.yaml").write_text(settings)

    loaded = load_settings(Home(tmp_path))

    written = yaml.safe_load(settings)
    assert loaded.account == written["account"]
    assert loaded.simulator.sessions == written["simulator"]["sessions"]


def test_readme_instrument_is_an_instrument(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = next(block for block in blocks("yaml") if block.startswith("CL:"))
    (tmp_path / "mine.yaml").write_text(entry)
    monkeypatch.setenv("VPOC_INSTRUMENTS", str(tmp_path / "mine.yaml"))

    instruments = load_instruments()

    assert instruments["CL"].tick_value == 10.0
    assert instruments["ES"].tick_value == 12.5


def test_readme_python_runs() -> None:
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), {})  # noqa: S102


def test_readme_links_lead_somewhere() -> None:
    targets = re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", README)

    missing = [target for target in targets if "://" not in target and not (PROJECT / target).exists()]

    assert missing == []


@pytest.mark.parametrize("page", sorted((PROJECT / "docs").glob("*.md")), ids=lambda page: page.name)
def test_documents_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+?)(?:#[^)]*)?\)", page.read_text())

    missing = [target for target in targets if "://" not in target and not (page.parent / target).exists()]

    assert missing == []
