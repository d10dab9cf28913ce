"""Prefect's environment variables, which it reads when it is imported."""

import os
from pathlib import Path


def prefect_environment(home: Path, api_url: str | None) -> dict[str, str]:
    """Prefect's variables for a run (api_url given) or for the server itself (None)."""
    environment = {
        "PREFECT_HOME": str(home),
        "PREFECT_PROFILES_PATH": str(home / "profiles.toml"),
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_EPHEMERAL_ENABLED": "false",
        "PREFECT_LOGGING_LEVEL": "WARNING",
        "PREFECT_LOGGING_EXTRA_LOGGERS": "propainter",
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
        # SQLite records more task runs a second in larger batches.
        "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "50",
        "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_READ_BATCH_SIZE": "50",
    }
    if api_url is not None:
        environment["PREFECT_API_URL"] = api_url
    return environment


def child_environment(home: Path) -> dict[str, str]:
    """The environment of the server itself: none of the caller's Prefect settings but ours."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    return inherited | prefect_environment(home, None)
