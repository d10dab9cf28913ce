"""manifest.json: the record of one run, for programs, and whose output a file is.

Owns the record's types, its file, and the digest of an output. Measuring is the flow's; the page for people is
report.py's.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from propainter.core.errors import OutputError
from propainter.runtime.memory import MemorySample

MANIFEST = "manifest.json"
CLAIM = ".claim"
SCHEMA = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class StageStats:
    """What one stage cost. Segments are computed now, reused from the cache, or skipped as nothing was to do."""

    stage: str
    segments_computed: int
    segments_reused: int
    segments_skipped: int
    seconds: float
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InputRecord:
    """One thing the run read. role: "video" or "mask"; digest: of its content."""

    role: str
    path: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightsRecord:
    """One checkpoint file that the run used. licence: None where it is not the released file."""

    file_name: str
    sha256: str
    licence: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputRecord:
    """The result as it was published; digest as `digest_output` gives it."""

    path: str
    digest: str
    frames: int
    height_px: int
    width_px: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """All that is said about one run. settings: nested, plain; weights: none where the engine has none;
    versions: package to version; waited_share: of the time from the first segment to the last, how much the devices did
    not compute in, None where there were no segments; memory: the curve, thinned."""

    inputs: tuple[InputRecord, ...]
    output: OutputRecord
    engine: str
    weights: tuple[WeightsRecord, ...]
    settings: Mapping[str, Any]
    devices: tuple[str, ...]
    versions: Mapping[str, str]
    started: datetime
    ended: datetime
    wall_s: float
    peak_memory_bytes: int
    notices: tuple[str, ...]
    stages: tuple[StageStats, ...]
    waited_share: float | None
    memory: tuple[MemorySample, ...]


def digest_output(output: Path) -> str:
    """blake2b-160 of a file's content, or of the sorted names and contents of all files under a folder."""
    if not output.is_dir():
        return _digest_file(output)
    total = hashlib.blake2b(digest_size=20)
    for name, path in sorted((path.relative_to(output).as_posix(), path) for path in output.rglob("*")):
        if path.is_file():
            # A name holds no NUL and a digest has one length: no two folders give the same bytes.
            total.update(os.fsencode(name) + b"\0" + _digest_file(path).encode())
    return total.hexdigest()


def write_manifest(record: RunRecord, folder: Path) -> Path:
    """Write manifest.json into `folder`, whole or not at all.

    Raises:
        OutputError: `folder` cannot be written.
    """
    fields = asdict(record) | {"started": record.started.isoformat(), "ended": record.ended.isoformat()}
    # Plain ASCII: a file name that is not valid UTF-8 survives as an escape.
    text = json.dumps({"schema": SCHEMA} | fields, indent=2, allow_nan=False)
    path = publish_file(text.encode("ascii") + b"\n", folder / MANIFEST)
    (folder / CLAIM).unlink(missing_ok=True)
    return path


def claim_output(folder: Path, partial: Path) -> None:
    """Note in `folder` that `partial` is about to be published: it is ours even if no manifest comes to say so.

    Raises:
        OutputError: `folder` cannot be written.
    """
    publish_file(digest_output(partial).encode(), folder / CLAIM)


def read_manifest(folder: Path) -> RunRecord:
    """The record that `write_manifest` left in `folder`.

    Raises:
        OutputError: there is none, or it is not one of ours.
    """
    path = folder / MANIFEST
    try:
        fields = json.loads(path.read_bytes())
        if fields.pop("schema") != SCHEMA:
            raise OutputError(f"{path} is of another version of this program. Run again to write a new one.")
        return RunRecord(**fields | {
            "inputs": tuple(InputRecord(**entry) for entry in fields["inputs"]),
            "output": OutputRecord(**fields["output"]),
            "weights": tuple(WeightsRecord(**entry) for entry in fields["weights"]),
            "devices": tuple(fields["devices"]),
            "started": datetime.fromisoformat(fields["started"]),
            "ended": datetime.fromisoformat(fields["ended"]),
            "notices": tuple(fields["notices"]),
            "stages": tuple(StageStats(**entry) for entry in fields["stages"]),
            "memory": tuple(MemorySample(**entry) for entry in fields["memory"]),
        })  # fmt: skip
    except OSError as error:
        raise OutputError(f"{path} cannot be read ({error.strerror}). Name the folder that a run left.") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise OutputError(f"{path} is not a manifest of this program. Name the folder that a run left.") from error


def wrote_output(folder: Path, output: Path) -> bool:
    """True where the manifest in `folder`, or a claim, says that `output`, as it is now, is what a run wrote.

    False where there is neither, no output, or the output was changed since.
    """
    known = set()
    with contextlib.suppress(OSError):
        known.add((folder / CLAIM).read_text(errors="replace"))
    with contextlib.suppress(OutputError):
        recorded = read_manifest(folder).output
        if Path(recorded.path).name == output.name:
            known.add(recorded.digest)
    try:
        return bool(known) and digest_output(output) in known
    except OSError:
        return False


def publish_file(content: bytes, path: Path) -> Path:
    """Write a small file, whole or not at all, and the folders above it; returns `path`.

    Raises:
        OutputError: it cannot be written.
    """
    partial = path.with_name(f".{path.name}.partial")  # one fixed name: what a kill leaves, the next run overwrites
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(content)
        partial.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise OutputError(
            f"{path} cannot be written ({error.strerror}). Free some space or name a folder that can be written."
        ) from error
    return path


def _digest_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=20)).hexdigest()
