"""``vpoc ui``: Dagster's webserver and daemon and MLflow's page together, stopped by one Ctrl-C."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from typing import IO, Annotated

import typer

from pipeline.cli.quiet import quieten
from pipeline.cli.screen import Console
from pipeline.environment import make_tracking_store, prepare_environment, tracking_uri
from pipeline.errors import ConfigurationError, DataError
from pipeline.home import PROJECT, Home, vpoc_home

__all__ = ["ui"]

HOST = "127.0.0.1"
START_SECONDS = 120
STOP_SECONDS = 15


def ui(
    dagster_port: Annotated[int, typer.Option(min=1, max=65535, help="Port of Dagster's page.")] = 3000,
    mlflow_port: Annotated[int, typer.Option(min=1, max=65535, help="Port of MLflow's page.")] = 5000,
) -> None:
    """Open both pages on this machine only, with the schedules running, until Ctrl-C."""
    home = vpoc_home()
    prepare_environment(home)
    if dagster_port == mlflow_port:
        raise ConfigurationError(f"both pages can't have port {mlflow_port}: name another one with --mlflow-port")
    for name, port in (("Dagster", dagster_port), ("MLflow", mlflow_port)):
        _check_free(name, port)
    console = Console(highlight=False)
    log = home.logs / "ui.log"
    # Where it was started with interrupts ignored (a background job of a script), and where it is terminated
    # or its terminal is closed (but not under nohup), it still stops its servers.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP):
        if number == signal.SIGTERM or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, lambda *_: signal.raise_signal(signal.SIGINT))
    with log.open("ab") as output:
        servers: list[subprocess.Popen[bytes]] = []
        try:
            console.print(f"starting (log: {log}) ...", soft_wrap=True)
            make_tracking_store(home)
            _close_dead_runs()
            for command in _commands(home, dagster_port, mlflow_port):
                servers.append(_start(command, output))
            pages = {"Dagster": f"http://{HOST}:{dagster_port}", "MLflow": f"http://{HOST}:{mlflow_port}"}
            for name, address in pages.items():
                _wait_for(f"{address}/{'server_info' if name == 'Dagster' else 'health'}", servers, str(log))
                # MLflow opens on its assistants' view; the runs are in the other one.
                shown = f"{address}/#/experiments?workflowType=machine_learning" if name == "MLflow" else address
                console.print(f"{name:10} {shown}", soft_wrap=True)
            console.print("Ctrl-C stops both.")
            while all(server.poll() is None for server in servers):
                time.sleep(0.5)
            raise DataError(f"a server stopped by itself: {log} says why")
        except KeyboardInterrupt:
            console.print("stopping ...")
        finally:
            # A second, impatient Ctrl-C must not leave half of the servers behind.
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
            _stop(servers)


def _close_dead_runs() -> None:
    from dagster import DagsterInstance

    quieten()
    from pipeline.definitions import close_dead_runs

    with DagsterInstance.get() as instance:
        close_dead_runs(instance)


def _commands(home: Home, dagster_port: int, mlflow_port: int) -> list[list[str]]:
    workspace = str(PROJECT / "workspace.yaml")
    python = [sys.executable, "-m"]
    return [
        [*python, "dagster_webserver", "--host", HOST, "--port", str(dagster_port), "--workspace", workspace],
        [*python, "dagster._daemon", "run", "--workspace", workspace],
        [
            *python, "mlflow", "server", "--host", HOST, "--port", str(mlflow_port),
            "--backend-store-uri", tracking_uri(home),
            "--default-artifact-root", (home.mlflow / "artifacts").as_uri(),
            "--workers", "1",
        ],
    ]  # fmt: skip


def _check_free(name: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            option = f"--{name.lower()}-port"
            raise ConfigurationError(
                f"port {port} for {name}'s page is taken: name another one with {option}"
            ) from error


def _start(command: list[str], output: IO[bytes]) -> "subprocess.Popen[bytes]":
    # A session of its own: Ctrl-C reaches this program alone, which then stops the servers in order.
    return subprocess.Popen(  # noqa: S603
        command, stdout=output, stderr=subprocess.STDOUT, env=os.environ.copy(), cwd=PROJECT, start_new_session=True
    )


def _wait_for(address: str, servers: "list[subprocess.Popen[bytes]]", log: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if any(server.poll() is not None for server in servers):
            raise DataError(f"a server did not start: {log} says why")
        try:
            with urllib.request.urlopen(address, timeout=2):  # noqa: S310
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.3)
    raise DataError(f"{address} did not answer within {START_SECONDS} s: {log} says why")


def _stop(servers: "list[subprocess.Popen[bytes]]") -> None:
    for server in servers:
        _signal(server, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    for server in servers:
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(timeout=max(0.1, deadline - time.monotonic()))
        # Its children too: a code server or worker that outlived it.
        _signal(server, signal.SIGKILL)


def _signal(server: "subprocess.Popen[bytes]", number: int) -> None:
    try:
        os.killpg(server.pid, number)
    except ProcessLookupError:
        return
