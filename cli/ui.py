"""``vpoc ui``: Dagster's page and daemon and MLflow's page together, stopped by one Ctrl-C."""

import os
import re
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from typing import Annotated

import typer

from cli.pages.server import HOST, NAMES_VARIABLE
from cli.pages.servers import end_leftovers, only_one, start_server, stop_servers
from cli.quiet import quieten
from cli.screen import Console
from pipeline.addresses import shown_address
from pipeline.environment import make_tracking_store, prepare_environment, tracking_uri
from pipeline.errors import ConfigurationError, DataError
from pipeline.home import Home, vpoc_home

__all__ = ["ui"]

START_SECONDS = 120
HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")


def ui(
    dagster_port: Annotated[int, typer.Option(min=1, max=65535, help="Port of Dagster's page.")] = 3000,
    mlflow_port: Annotated[int, typer.Option(min=1, max=65535, help="Port of MLflow's page.")] = 5000,
    host_name: Annotated[
        list[str] | None,
        typer.Option(help="Extra host name that the pages answer to, for use behind a proxy; repeatable."),
    ] = None,
) -> None:
    """Serve both pages on this machine only, with the schedules running, until Ctrl-C."""
    home = vpoc_home()
    prepare_environment(home)
    for name in host_name or ():
        if not HOST_NAME.fullmatch(name):
            raise ConfigurationError(f"--host-name {name!r} is not a host name: give one such as research.example.com")
    if dagster_port == mlflow_port:
        raise ConfigurationError(f"both pages can't use port {mlflow_port}: choose another with --mlflow-port")
    os.environ[NAMES_VARIABLE] = " ".join(host_name or ())
    ports = {"dagster": dagster_port, "daemon": 0}
    pages = {"Dagster": f"http://{HOST}:{dagster_port}"}
    if tracking_uri(home).startswith(("http://", "https://")):
        pages["MLflow"] = shown_address(tracking_uri(home))  # a server that somebody else runs
    else:
        pages["MLflow"] = f"http://{HOST}:{mlflow_port}"
        ports["mlflow"] = mlflow_port
    with only_one(home, ", ".join(f"{name} at {address}" for name, address in pages.items())):
        _serve(home, ports, pages)


def _serve(home: Home, ports: dict[str, int], pages: dict[str, str]) -> None:
    console = Console(highlight=False)
    log = home.logs / "ui.log"
    if left := end_leftovers(home):
        console.print(f"ended {left} processes left behind by a killed 'vpoc ui'")
    for name in pages:
        if name.lower() in ports:
            _check_free(name, ports[name.lower()])
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
            for name, port in ports.items():
                servers.append(start_server(home, name, port, output))
            for name, address in pages.items():
                if name.lower() in ports:
                    _wait_for(f"{address}/{'server_info' if name == 'Dagster' else 'health'}", servers, str(log))
                shown = f"{address.rstrip('/')}/{_newest_runs(home)}" if name == "MLflow" else address
                console.print(f"{name:10} {shown}", soft_wrap=True)
            console.print("Ctrl-C stops both.")
            while all(server.poll() is None for server in servers):
                time.sleep(0.5)
            raise DataError(f"a server stopped unexpectedly: see {log}")
        except KeyboardInterrupt:
            console.print("stopping ...")
        finally:
            # A second, impatient Ctrl-C must not leave half of the servers behind.
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
            stop_servers(servers)


def _newest_runs(home: Home) -> str:
    """The part of MLflow's address that opens the newest runs: by itself its page opens on one that shows none."""
    from resources.mlflow_store import mlflow_errors, open_store
    from resources.mlflow_views import runs_page

    try:
        return open_store(home).newest_runs()
    except mlflow_errors():  # its page says so itself
        return runs_page()


def _close_dead_runs() -> None:
    from dagster import DagsterInstance

    quieten()
    from jobs.processes import close_dead_runs

    with DagsterInstance.get() as instance:
        close_dead_runs(instance)


def _check_free(name: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            option = f"--{name.lower()}-port"
            raise ConfigurationError(
                f"port {port} for {name}'s page is in use: choose another with {option}"
            ) from error


def _wait_for(address: str, servers: "list[subprocess.Popen[bytes]]", log: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if any(server.poll() is not None for server in servers):
            raise DataError(f"a server did not start: see {log}")
        try:
            with urllib.request.urlopen(address, timeout=2):  # noqa: S310
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.3)
    raise DataError(f"{address} did not answer within {START_SECONDS} s: see {log}")
