"""The workflow server for as long as a command's run, and the note of which process carries that run.

Prefect reads its environment when it is imported: after the server answers, or, where the work is looked at before a
server is asked for, after `prepare_for_prefect`.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from flows.server.environment import prefect_environment
from flows.server.flow_runs import forget_run, mark_dead_runs, record_run
from flows.server.home import server_home
from flows.server.local_server import LocalServer
from propainter.core.errors import ServerLostError

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun, State
    from prefect.flows import Flow, FlowStateHook


@contextmanager
def workflow_server(*, keep: bool) -> Iterator[Callable[[], "FlowStateHook[..., Any]"]]:
    """Look for the server, or start it, while the block goes on.

    The block is given a function: it waits until the server answers, and returns what the flow takes as on_running.

    Raises:
        ServerError: from that function, where there is no server to be had.
        ServerLostError: there was one, and it no longer answers.
    """
    home = server_home()
    with LocalServer(home, keep=keep) as server, ExitStack() as runs:

        def remember(flow: "Flow[..., Any]", flow_run: "FlowRun", state: "State[Any]") -> None:
            """Note which process carries the flow run, until it ends, so that a killed one can be marked."""
            record_run(home, flow_run.id)
            runs.callback(forget_run, home, flow_run.id)

        def wait() -> "FlowStateHook[..., Any]":
            server.wait()
            if "prefect" in sys.modules:  # imported before there was a server
                from prefect.context import refresh_global_settings_context

                refresh_global_settings_context()
            mark_dead_runs(home)
            return remember

        try:
            yield wait
        except Exception as error:
            from httpx import TransportError  # which Prefect has imported long since

            if not isinstance(error, TransportError):
                raise
            runs.pop_all()  # a server that does not know of its end is told by the next command
            raise ServerLostError(
                f"The workflow server no longer answers ({str(error) or type(error).__name__}). "
                "What is finished is kept: run the same command again to go on."
            ) from error


def prepare_for_prefect() -> None:
    """Set the environment that Prefect is to be imported with, before there is a server."""
    server_home().mkdir(parents=True, exist_ok=True, mode=0o700)
    of_a_local_server = {"PREFECT_HOME", "PREFECT_PROFILES_PATH"}
    for name, value in prefect_environment(server_home(), None).items():
        if name not in of_a_local_server or "PREFECT_API_URL" not in os.environ:
            os.environ.setdefault(name, value)
