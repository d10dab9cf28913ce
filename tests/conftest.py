"""What the whole suite shares: folders of its own, so that it never meets the user's, and one Prefect server."""

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from flows.server.environment import prefect_environment
from flows.server.local_server import connect

_home = Path(tempfile.mkdtemp(prefix="propainter-tests-"))
atexit.register(shutil.rmtree, _home, ignore_errors=True)

# Before any test module is imported: Prefect reads its environment then.
os.environ.update(prefect_environment(_home / "prefect", None))
os.environ["PROPAINTER_DEVICE_LOCKS"] = str(_home / "locks")
os.environ.pop("PREFECT_API_URL", None)

# The same examples in every run, so that a commit does not fail by the draw; look for new ones with
# `pytest --hypothesis-profile=default`.
settings.register_profile("repeatable", derandomize=True)
settings.load_profile("repeatable")


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[str]:
    """The URL of a server for flows run here and in subprocesses; started once, at the first test that asks."""
    with connect(_home / "prefect") as api_url:
        from prefect.settings import PREFECT_API_URL, temporary_settings

        with temporary_settings({PREFECT_API_URL: api_url}):
            yield api_url
