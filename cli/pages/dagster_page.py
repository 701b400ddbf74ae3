"""Dagster's page behind the check of its callers.

``dagster-webserver`` on the command line takes no middleware.
"""

from collections.abc import Collection
from pathlib import Path

from cli.pages.guard import GuardedASGI

__all__ = ["serve_dagster"]

STATEMENT_MILLISECONDS = 15_000
CONNECTION_SECONDS = 3600
MOST_CONNECTIONS = 20
REFRESH_MILLISECONDS = 2000
OPEN_PAGES_SECONDS = 3  # how long a page that is open in a browser holds up the end


def serve_dagster(host: str, port: int, workspace: Path, names: Collection[str] = ()) -> None:
    """Serve Dagster's page until the process is terminated, with the settings of its own command.

    Parameters
    ----------
    host, port
        Where it listens.
    workspace
        Dagster's file of code locations.
    names
        Host names that it answers to besides the loopback's.
    """
    import uvicorn
    from dagster import DagsterInstance, __version__
    from dagster_webserver.app import create_app_from_workspace_process_context

    from jobs.dagster_internals import WorkspaceFileTarget, WorkspaceProcessContext

    with DagsterInstance.get() as instance:
        instance.optimize_for_webserver(STATEMENT_MILLISECONDS, CONNECTION_SECONDS, MOST_CONNECTIONS)
        with WorkspaceProcessContext(instance, WorkspaceFileTarget([str(workspace)]), __version__) as context:
            page = create_app_from_workspace_process_context(context, live_data_poll_rate=REFRESH_MILLISECONDS)
            uvicorn.run(
                GuardedASGI(page, names),
                host=host,
                port=port,
                log_level="warning",
                timeout_graceful_shutdown=OPEN_PAGES_SECONDS,
            )
