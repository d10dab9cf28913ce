import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

from propainter.runtime.allocator import bound_kernel_caches

ROOT = Path(__file__).parents[2]


def _prefect(*arguments: str) -> str:
    command = [sys.executable, "-m", "prefect", "--no-prompt", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def _write_clip(folder: Path) -> None:
    """Twelve frames, 64x48: noise that pans two pixels a frame, and a white square that is to go."""
    noise = np.random.default_rng(0).integers(0, 200, (12, 22, 3), dtype=np.uint8)
    scenery = cv2.resize(noise, (88, 48), interpolation=cv2.INTER_CUBIC)
    (folder / "frames").mkdir()
    for t in range(12):
        frame = scenery[:, 2 * t : 2 * t + 64].copy()
        frame[20:28, 24:32] = 255
        cv2.imwrite(str(folder / "frames" / f"{t:05d}.png"), frame)
    hole = np.zeros((48, 64), np.uint8)
    hole[20:28, 24:32] = 255
    cv2.imwrite(str(folder / "mask.png"), hole)


def _read(picture: Path) -> NDArray[np.uint8]:
    pixels = cv2.imread(str(picture))
    assert pixels is not None
    return pixels.astype(np.uint8)


@pytest.mark.slow
def test_the_inpaint_deployment_runs_on_a_worker(prefect_server: str, tmp_path: Path) -> None:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas import FlowRun
    from prefect.deployments import run_deployment

    _write_clip(tmp_path)
    _prefect("work-pool", "create", "gpu", "--type", "process")
    _prefect("deploy", "--all")
    parameters = {
        "video": str(tmp_path / "frames"),
        "mask": str(tmp_path / "mask.png"),
        "output": str(tmp_path / "result"),
        "cache": str(tmp_path / "cache"),
        "devices": "cpu",
    }
    asked = run_deployment("inpaint/inpaint", parameters=parameters, timeout=0, as_subflow=False)
    assert isinstance(asked, FlowRun)

    log = _prefect("worker", "start", "--pool", "gpu", "--limit", "1", "--run-once")

    with get_client(sync_client=True) as client:
        ended = client.read_flow_run(asked.id)
    assert ended.state_name == "Completed", log
    assert {"inpaint", "auto-resume"} <= set(ended.tags)
    pictures = sorted((tmp_path / "result").glob("*.png"))
    assert len(pictures) == 12
    source, result = _read(tmp_path / "frames" / "00000.png"), _read(pictures[0])
    np.testing.assert_array_equal(result[:12], source[:12])
    assert result[20:28, 24:32].max() < 255


def test_a_workers_runs_bound_their_memory_as_the_command_does(monkeypatch: pytest.MonkeyPatch) -> None:
    set_by_the_command: dict[str, str] = {}
    monkeypatch.setattr(os, "environ", set_by_the_command)
    bound_kernel_caches()
    assert set_by_the_command
    for deployment in yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]:
        environment = deployment["work_pool"]["job_variables"]["env"]
        assert set_by_the_command.items() <= environment.items()
        assert environment["MALLOC_ARENA_MAX"] == "1"


def test_the_automations_are_accepted(prefect_server: str) -> None:
    from prefect.client.orchestration import get_client

    _prefect("automation", "create", "--from-file", "deploy/automations.yaml")
    with get_client(sync_client=True) as client:
        created = client.request("POST", "/automations/filter", json={}).json()
    assert {"zombie-runs-crash", "crashed-runs-resume"} <= {automation["name"] for automation in created}
