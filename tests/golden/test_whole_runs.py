from pathlib import Path

import numpy as np
import pytest
from synthetic_weights import write_weights
from whole_runs import run


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_weights(tmp_path_factory.mktemp("weights"))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["chunked", "resized", "outpaint"])  # make parity runs the fourth too
def test_the_command_gives_the_released_codes_frames(
    name: str, tmp_path: Path, weights: Path, prefect_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", prefect_server)
    difference = run(name, tmp_path, weights).max(axis=-1)
    assert difference.max() <= 1  # frames are averaged and truncated to 8 bits: rounding tips a value now and then
    assert np.mean(difference > 0) < 1e-3
