"""`propainter server`: the local workflow server."""

import cyclopts

from flows.commands.terminal import out
from flows.server.control import ServerStatus, server_status, start_server, stop_server
from flows.server.home import server_home

server_app = cyclopts.App(name="server", help="The local workflow server.")


@server_app.command(name="start")
def server_start() -> None:
    """Start the workflow server and leave it running."""
    _say_status(start_server(server_home()))


@server_app.command(name="status")
def server_status_command() -> int:
    """Say whether the workflow server runs, and where."""
    status = server_status(server_home())
    _say_status(status)
    return 0 if status else 1


@server_app.command(name="stop")
def server_stop() -> None:
    """Stop the workflow server once its last run has ended."""
    _say_status(stop_server(server_home()))


def _say_status(status: ServerStatus | None) -> None:
    if status is None:
        out.print("No workflow server is running.")
    else:
        stays = "stays until `propainter server stop`" if status.keep else "stops with its last run"
        out.print(f"{status.api_url.removesuffix('/api')} ({stays}; log in {status.log})", markup=False, soft_wrap=True)
