"""A flow's parameters from a file."""

from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from flows.configuration import load_settings
from flows.dataset_survey import Request
from flows.parameters import request_from
from propainter.core.errors import SettingsError


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    root: Path
    num_workers: int | None = None
    rehash: bool = False


def test_what_is_given_wins_over_the_file_which_wins_over_the_default(tmp_path: Path) -> None:
    (tmp_path / "nightly.yaml").write_text("root: /data\nnum_workers: 4\n")
    asked = request_from(Asked, {"root": None, "num_workers": 8, "rehash": None}, str(tmp_path / "nightly.yaml"))
    assert asked == Asked(root=Path("/data"), num_workers=8)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("rot: /data", "'rot'. Did you mean root?"),
        ("num_workers: 4", "root is missing"),
        ("root: /data\nnum_workers: many", "num_workers is 'many'"),
        ("- root", "holds a list"),
        ("root: [", "is not YAML"),
    ],
)
def test_a_file_that_does_not_fit_gets_one_line(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "nightly.yaml").write_text(content)
    with pytest.raises(SettingsError) as raised:
        request_from(Asked, {}, str(tmp_path / "nightly.yaml"))
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(SettingsError, match=r"/no/nightly\.yaml cannot be read"):
        request_from(Asked, {}, "/no/nightly.yaml")


def test_the_nightly_deployment_reads_a_file_that_fits_and_never_overlaps_itself() -> None:
    root = Path(__file__).parents[3]
    (nightly,) = (
        deployment for deployment in yaml.safe_load((root / "prefect.yaml").read_text())["deployments"]
        if deployment["name"] == "nightly"
    )  # fmt: skip
    assert nightly["entrypoint"] == "flows/precompute_flow.py:precompute_flow"
    assert nightly["concurrency_limit"] == {"limit": 1, "collision_strategy": "ENQUEUE"}
    assert nightly["schedules"][0]["cron"] == "0 2 * * *"
    asked = request_from(Request, {"root": "/mine"}, str(root / nightly["parameters"]["config"]))
    assert asked.root == Path("/mine")
    assert load_settings(asked.settings).extract_frames.width == 432
