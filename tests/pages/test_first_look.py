"""What a new user sees on both pages after a first ``vpoc run``, in a real browser."""

import json
import re
import subprocess
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Page, expect

from pipeline.home import PROJECT
from tests.orchestration.conftest import FEATURES
from tests.pages.conftest import Pages, command, free_port, started

pytestmark = pytest.mark.slow

HOME = (
    "simulator: {start: 2021-01-04, sessions: 320, seed: 3, bar: 15min}\n"
    "models: {families: [lightgbm, logistic], splits: 2, threshold: 0.3, "
    "parameters: {lightgbm: {rounds: 10, patience: 5}}}\n"
) + FEATURES
JOBS = ("ingest", "prepare", "research", "train", "judge")
PATIENCE = 60_000
DEFAULTS = """
query($selector: PipelineSelector!) {
  runConfigSchemaOrError(selector: $selector, mode: "default") { ... on RunConfigSchema { rootDefaultYaml } }
}
"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pages]:
    """The pages of a home in which everything was made by ``vpoc run``."""
    home = tmp_path_factory.mktemp("pages") / "home"
    home.mkdir()
    (home / "settings.yaml").write_text(HOME)
    arguments, environment = command(home)
    run = [*arguments[:-1], "run", "--symbol", "ES-SIM"]
    subprocess.run(run, env=environment, cwd=PROJECT, check=True, capture_output=True)
    opened = started(home, free_port(), free_port())
    yield opened
    opened.end()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    opened = browser.new_page(viewport={"width": 1900, "height": 1000})
    yield opened
    opened.close()


def test_printed_address_of_mlflow_lists_the_trainings_with_their_figures(pages: Pages, page: Page) -> None:
    address = re.search(r"MLflow +(\S+)", pages.output.read_text())
    assert address is not None

    page.goto(address[1])

    expect(page.get_by_text("2 matching runs")).to_be_visible(timeout=PATIENCE)
    for column in ("headline.auc_within_folds", "headline.sharpe_ratio"):
        expect(page.get_by_text(column).first).to_be_visible(timeout=PATIENCE)
    # AUC with its interval: a figure, and two in parentheses.
    expect(page.get_by_text(re.compile(r"^0\.\d{3} \(0\.\d{3} to 0\.\d{3}\)$")).first).to_be_visible(timeout=PATIENCE)
    expect(page.get_by_text("train lightgbm").first).to_be_visible()


def test_compared_trainings_open_on_their_auc_and_not_on_the_load_of_the_machine(pages: Pages, page: Page) -> None:
    address = re.search(r"MLflow +(\S+)", pages.output.read_text())
    assert address is not None
    page.goto(address[1])
    links = page.get_by_role("link", name=re.compile("^train "))
    expect(links.first).to_be_visible(timeout=PATIENCE)
    runs = [str(link.get_attribute("href")).rpartition("/")[2] for link in links.all()]
    of = f"runs={quote(json.dumps(runs))}&experiments={quote(json.dumps(['1']))}"

    page.goto(f"http://127.0.0.1:{pages.mlflow}/#/compare-runs?{of}")

    chosen = page.locator(".ant-select-selection-item, [class*=select-selection-item]")
    expect(chosen.get_by_text("auc_within_folds", exact=True).first).to_be_visible(timeout=PATIENCE)
    expect(chosen.get_by_text(re.compile("^system/"))).to_have_count(0)


def test_timeline_and_jobs_show_what_the_command_line_ran(pages: Pages, page: Page) -> None:
    page.goto(f"http://127.0.0.1:{pages.dagster}/overview")
    for job in JOBS:
        expect(page.locator(f"a[href$='/jobs/{job}']").first).to_be_visible(timeout=PATIENCE)

    page.goto(f"http://127.0.0.1:{pages.dagster}/jobs")
    expect(page.get_by_text(re.compile("(minutes?|seconds?|hours?) ago")).nth(len(JOBS) - 1)).to_be_visible(
        timeout=PATIENCE
    )


def test_groups_stand_in_the_order_of_the_story(pages: Pages, page: Page) -> None:
    page.goto(f"http://127.0.0.1:{pages.dagster}/asset-groups")
    expect(page.get_by_text("1_market_data").first).to_be_visible(timeout=PATIENCE)

    listed = re.findall(r"^[1-8]_\w+$", page.inner_text("body"), re.MULTILINE)

    assert [name[0] for name in dict.fromkeys(listed)] == list("12345678")


def test_volume_profiles_show_the_last_session_as_a_picture(pages: Pages, page: Page) -> None:
    page.goto(f"http://127.0.0.1:{pages.dagster}/assets/volume_profiles")
    expect(page.get_by_text("last_session", exact=True).first).to_be_visible(timeout=PATIENCE)

    page.get_by_text("[Show Markdown]").first.click()

    picture = page.get_by_role("img", name=re.compile(r"^ES-SIM \(simulated\) .*: volume "))
    expect(picture).to_be_visible(timeout=PATIENCE)
    assert int(picture.evaluate("picture => picture.naturalWidth")) == 1144


def test_launchpad_shows_the_settings_of_the_home(pages: Pages) -> None:
    selector = {"repositoryName": "__repository__", "repositoryLocationName": "vpoc", "pipelineName": "train"}

    shown = pages.ask(DEFAULTS, selector=selector)

    text = shown["runConfigSchemaOrError"]["rootDefaultYaml"]
    assert "rounds: 10\n" in text  # of settings.yaml
    assert "num_leaves: 6\n" in text  # the family's own
    assert "threshold: '0.3'" in text
