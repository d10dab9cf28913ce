"""The released checkpoint files: names, sizes, digests, and the terms that they may be used under."""

from dataclasses import dataclass

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
