"""The flow runs under way and the process of each, so that a killed one can be told from a long one."""

import json
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from uuid import UUID

from flows.server.home import write_json
from flows.server.process_mark import ProcessMark


def record_run(home: Path, flow_run_id: UUID | str) -> None:
    """Note that this process carries the flow run."""
    write_json(_run_record(home, flow_run_id), asdict(ProcessMark.of_this_process()))


def forget_run(home: Path, flow_run_id: UUID | str) -> None:
    """The flow run has ended and its server knows."""
    _run_record(home, flow_run_id).unlink(missing_ok=True)


def mark_dead_runs(home: Path) -> list[str]:
    """Set the flow runs whose process has gone to Crashed; a killed process could not say so itself.

    Call it connected. Returns the flow runs' ids.
    """
    dead = []
    for path in sorted((home / "runs").glob("*.json")):
        try:
            mark = ProcessMark(**json.loads(path.read_text()))
        except FileNotFoundError:
            continue  # ended just now
        except (ValueError, TypeError):
            mark = None
        if mark is None or not mark.is_alive():
            dead.append(path.stem)
    if not dead:
        return []
    from prefect.client.orchestration import get_client  # reads the environment, which is set by now
    from prefect.exceptions import ObjectNotFound
    from prefect.states import Crashed

    with get_client(sync_client=True) as client:
        for flow_run_id in dead:
            with suppress(ObjectNotFound):
                run = client.read_flow_run(UUID(flow_run_id))
                if run.state is None or not run.state.is_final():
                    message = "Its process ended without a word, as after a kill or a power cut."
                    client.set_flow_run_state(run.id, Crashed(message=message), force=True)
            forget_run(home, flow_run_id)
    return dead


def _run_record(home: Path, flow_run_id: UUID | str) -> Path:
    return home / "runs" / f"{flow_run_id}.json"
