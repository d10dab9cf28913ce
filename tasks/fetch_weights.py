"""Bring the released checkpoints into a folder, from the release, a mirror or another folder: whole and verified."""

import os
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from propainter.core.errors import WeightsError
from propainter.models.checkpoints import KNOWN_CHECKPOINTS, Checkpoint, check_released

BLOCK_BYTES = 1 << 20
TIMEOUT_S = 60.0


def import_weights(source: Path, folder: Path) -> None:
    """Copy the three files from a folder.

    Raises:
        WeightsError: one is missing there, or is not the released one; what was whole before it stays copied.
    """
    for checkpoint in KNOWN_CHECKPOINTS:
        check_released(source / checkpoint.file_name, checkpoint)
        partial = _partial(folder, checkpoint)
        shutil.copyfile(source / checkpoint.file_name, partial)
        _publish(partial, folder, checkpoint)


def fetch_weights(folder: Path, *, mirror: str | None, received: Callable[[Checkpoint, int], None]) -> None:
    """Download what the folder does not hold yet; a broken download goes on where it broke.

    Args:
        mirror: URL of a folder that holds the files; None: the release.
        received: told of each checkpoint how many of its bytes are here.

    Raises:
        WeightsError: the server does not answer, or sends another file.
    """
    for checkpoint in KNOWN_CHECKPOINTS:
        if (folder / checkpoint.file_name).exists():
            check_released(folder / checkpoint.file_name, checkpoint)
            received(checkpoint, checkpoint.size_bytes)
            continue
        url = checkpoint.url if mirror is None else f"{mirror.rstrip('/')}/{checkpoint.file_name}"
        partial = _partial(folder, checkpoint)
        try:
            _download(url, partial, checkpoint, received)
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", None) or error
            raise WeightsError(
                f"{url} cannot be fetched ({reason}). Run again to go on, or give --from DIR or a mirror's URL."
            ) from error
        _publish(partial, folder, checkpoint)


def _download(url: str, partial: Path, checkpoint: Checkpoint, received: Callable[[Checkpoint, int], None]) -> None:
    held_bytes = partial.stat().st_size if partial.exists() else 0
    if held_bytes >= checkpoint.size_bytes:
        return
    request = urllib.request.Request(url, headers={"Range": f"bytes={held_bytes}-"} if held_bytes else {})
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
        goes_on = answer.status == 206
        held_bytes = held_bytes if goes_on else 0
        with partial.open("ab" if goes_on else "wb") as file:
            while block := answer.read(BLOCK_BYTES):
                file.write(block)
                held_bytes += len(block)
                received(checkpoint, held_bytes)
                if held_bytes > checkpoint.size_bytes:
                    break


def _partial(folder: Path, checkpoint: Checkpoint) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f".{checkpoint.file_name}.partial"


def _publish(partial: Path, folder: Path, checkpoint: Checkpoint) -> None:
    try:
        check_released(partial, checkpoint)
    except WeightsError:
        if partial.stat().st_size >= checkpoint.size_bytes:
            partial.unlink()  # shorter ones go on where they broke
        raise
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.replace(folder / checkpoint.file_name)
