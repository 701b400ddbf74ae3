"""One of the pages' servers, in a process of its own that ends with the program that started it.

``python -m cli.pages.server dagster|daemon|mlflow PORT``, with standard input held open by that program: where it
dies, by SIGKILL too, the operating system closes it, and this server ends with everything that it has started.
"""

import os
import runpy
import signal
import sys
import threading
import time

from cli.pages.dagster_page import serve_dagster
from cli.pages.guard import LOOPBACK
from pipeline.environment import tracking_uri
from pipeline.home import INSTANCE, Home, vpoc_home
from pipeline.locks import take_lock

__all__ = ["HOST", "NAMES_VARIABLE", "STOP_SECONDS", "serve"]

HOST = "127.0.0.1"
NAMES_VARIABLE = "VPOC_HOST_NAMES"
STOP_SECONDS = 15
WORKSPACE = INSTANCE / "workspace.yaml"


def serve(server: str, port: int) -> None:
    """Serve until the process is terminated.

    Parameters
    ----------
    server
        ``dagster``, ``daemon`` or ``mlflow``.
    port
        Where the page is; the daemon has none.
    """
    threading.Thread(target=_end_with_starter, daemon=True).start()
    home = vpoc_home()
    names = os.environ.get(NAMES_VARIABLE, "").split()
    if server == "dagster":
        serve_dagster(HOST, port, WORKSPACE, names)
    elif server == "daemon":
        _run_daemon(home)
    else:
        _serve_mlflow(home, port, names)


def _end_with_starter() -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    # The whole group: code servers, workers and runs too.
    os.killpg(0, signal.SIGTERM)
    time.sleep(STOP_SECONDS)
    os.killpg(0, signal.SIGKILL)


def _run_daemon(home: Home) -> None:
    lock = take_lock(home.dagster / "daemon.lock")
    if lock is None:
        sys.exit(f"the schedules of {home.root} run already, in another process")
    _run_module("dagster._daemon", "run", "--workspace", str(WORKSPACE))


def _serve_mlflow(home: Home, port: int, names: list[str]) -> None:
    # Its own check of Host and Origin. By default it takes private networks' names, 10.evil.example among them.
    hosts = [pattern for name in (*LOOPBACK, *names) for pattern in (name, f"{name.replace('[', '[[]')}:*")]
    os.environ["MLFLOW_SERVER_ALLOWED_HOSTS"] = ",".join(hosts)
    os.environ["MLFLOW_SERVER_CORS_ALLOWED_ORIGINS"] = ",".join(
        f"{scheme}://{name}{end}" for name in names for scheme in ("http", "https") for end in ("", ":*")
    )
    # In the environment, for the arguments of a process can be read by everyone on the machine.
    os.environ["MLFLOW_BACKEND_STORE_URI"] = tracking_uri(home)
    artifacts = (home.mlflow / "artifacts").as_uri()
    _run_module(
        *("mlflow", "server", "--host", HOST, "--port", str(port)),
        *("--default-artifact-root", artifacts, "--workers", "1"),
    )


def _run_module(name: str, *arguments: str) -> None:
    """Run a module as ``python -m`` does, in this process."""
    sys.argv = [name, *arguments]
    runpy.run_module(name, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
