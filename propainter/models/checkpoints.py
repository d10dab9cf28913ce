"""The released checkpoint files: names, sizes, digests, and the terms that they may be used under."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from propainter.core.errors import WeightsError

LICENCE_URL = "https://github.com/sczhou/ProPainter/blob/main/LICENSE"
_RELEASE_URL = "https://github.com/sczhou/ProPainter/releases/download/v0.1.0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """One released file, and the terms it may be used under."""

    file_name: str
    size_bytes: int
    sha256: str
    licence: str

    @property
    def url(self) -> str:
        return f"{_RELEASE_URL}/{self.file_name}"


RAFT = Checkpoint(
    file_name="raft-things.pth",
    size_bytes=21_108_000,
    sha256="fcfa4125d6418f4de95d84aec20a3c5f4e205101715a79f193243c186ac9a7e1",
    licence="BSD-3-Clause",
)
FLOW_COMPLETION = Checkpoint(
    file_name="recurrent_flow_completion.pth",
    size_bytes=20_348_681,
    sha256="22939a1a7900da878dbe1ccd011d646b1bfb30b8290039d8ff0e0c2fefbfd283",
    licence="NTU S-Lab License 1.0 (non-commercial)",
)
GENERATOR = Checkpoint(
    file_name="ProPainter.pth",
    size_bytes=157_780_510,
    sha256="12c070c4b48f374c91d8a2a17851140b85c159621080989f9e191bbc18bd6591",
    licence="NTU S-Lab License 1.0 (non-commercial)",
)
KNOWN_CHECKPOINTS = (RAFT, FLOW_COMPLETION, GENERATOR)


def digest_of_file(path: Path) -> str:
    """sha256 in hex.

    Raises:
        WeightsError: the file is not there, or cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise WeightsError(f"{path}: {reason}. Fetch the weights, or give the folder that holds them.") from error


def check_released(path: Path, checkpoint: Checkpoint) -> None:
    """Raise WeightsError unless the file is the released one."""
    digest = digest_of_file(path)
    require_released(path, path.stat().st_size, digest, checkpoint)


def require_released(path: Path, size_bytes: int, digest: str, checkpoint: Checkpoint) -> None:
    """Raise WeightsError unless a file of this size and digest is the released one."""
    if size_bytes < checkpoint.size_bytes:
        raise WeightsError(
            f"{path} has {size_bytes} of {checkpoint.size_bytes} bytes: truncated, or another file. Fetch it again."
        )
    if digest != checkpoint.sha256:
        raise WeightsError(
            f"{path} has sha256 {digest[:12]}..., but the released {checkpoint.file_name} has "
            f"{checkpoint.sha256[:12]}.... Fetch it again, or give --no-verify-weights for weights of your own."
        )
