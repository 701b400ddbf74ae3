"""The screenshots of the documentation, taken of a home that ``vpoc run`` has made of the simulated market.

``VPOC_HOME=… python docs/images/make_screenshots.py`` starts ``vpoc ui`` on free ports and writes the pictures beside
this file. It needs chromium.
"""

import io
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

HERE = Path(__file__).parent
WIDTH = 1400
PATIENCE = 90_000  # milliseconds
SETTLED = 3000
COLORS = 256


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def pages() -> Iterator[tuple[str, str]]:
    """``vpoc ui`` while it is needed: the addresses of Dagster's page and of MLflow's list of trainings."""
    program = "from cli import main; main()"
    options = ["--dagster-port", str(free_port()), "--mlflow-port", str(free_port())]
    process = subprocess.Popen(  # noqa: S603 (our own)
        [sys.executable, "-c", program, "ui", *options], stdout=subprocess.PIPE, text=True, cwd=HERE.parents[1]
    )
    try:
        found: dict[str, str] = {}
        for line in process.stdout or ():
            if match := re.match(r"(Dagster|MLflow) +(\S+)", line):
                found[match[1]] = match[2]
            if "Ctrl-C" in line:
                break
        yield found["Dagster"], found["MLflow"]
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()


def save(page: Page, name: str, height: int) -> None:
    """Write the top of what is shown as a small PNG."""
    page.wait_for_timeout(SETTLED)
    taken = page.screenshot(clip={"x": 0, "y": 0, "width": WIDTH, "height": height})
    picture = Image.open(io.BytesIO(taken)).convert("RGB").quantize(COLORS, kmeans=1)
    picture.save(HERE / name, format="png", optimize=True)


def take_dagster(page: Page, address: str) -> None:
    """The graph of all assets by group, and the picture that a materialization of the profiles carries."""
    page.goto(f"{address}/asset-groups")
    page.get_by_text("Hide navigation").click(timeout=PATIENCE)
    page.reload()  # which fits the graph to the room there is
    page.get_by_text("1_market_data").first.wait_for(timeout=PATIENCE)
    save(page, "dagster_assets.png", 780)
    page.goto(f"{address}/assets/volume_profiles")
    page.get_by_text("[Show Markdown]").first.click(timeout=PATIENCE)
    page.get_by_role("img", name=re.compile(": volume ")).wait_for(timeout=PATIENCE)
    save(page, "dagster_profile.png", 780)


def take_mlflow(page: Page, address: str) -> None:
    """The list of trainings with their figures, and the charts that compare them."""
    page.goto(address)
    page.get_by_role("link", name=re.compile("^train ")).first.wait_for(timeout=PATIENCE)
    page.get_by_role("button", name="Close", exact=True).click()  # the assistant
    save(page, "mlflow_trainings.png", 440)
    page.locator("input[value=CHART]").evaluate("button => button.click()")
    page.get_by_text("auc_within_folds", exact=True).first.wait_for(timeout=PATIENCE)
    save(page, "mlflow_charts.png", 820)


def main() -> None:
    """Take them all."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    report = Path(os.environ["VPOC_HOME"]) / "reports" / "ES-SIM.html"
    with sync_playwright() as playwright, pages() as (dagster, mlflow):
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": WIDTH, "height": 1000})
        page.goto(report.as_uri())
        page.wait_for_selector("#equity-chart .main-svg")
        save(page, "report.png", 960)
        take_dagster(page, dagster)
        take_mlflow(page, mlflow)
        browser.close()


if __name__ == "__main__":
    main()
