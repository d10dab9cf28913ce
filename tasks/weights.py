"""The learned engine's checkpoint files: where they are, and what they are. Nothing is loaded here."""

import os
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_data_dir

from propainter.core.errors import WeightsError
from propainter.models.checkpoints import KNOWN_CHECKPOINTS, Checkpoint, digest_of_file, require_released


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """The three checkpoint files of one folder. digests: sha256 by file name; verified: they are the released ones."""

    folder: Path
    digests: tuple[tuple[str, str], ...]
    verified: bool

    def digest(self, checkpoint: Checkpoint) -> str:
        return dict(self.digests)[checkpoint.file_name]


def weights_folder(asked: str | Path | None) -> Path:
    """As asked, else PROPAINTER_WEIGHTS, else the user's folder for data."""
    return Path(
        asked or os.environ.get("PROPAINTER_WEIGHTS") or Path(user_data_dir("propainter")) / "weights"
    ).absolute()


def are_installed(folder: Path) -> bool:
    return all((folder / checkpoint.file_name).is_file() for checkpoint in KNOWN_CHECKPOINTS)


def find_weights(folder: Path, *, verify: bool) -> Weights:
    """Look at the files, once a run.

    Raises:
        WeightsError: a file is missing, or with verify not the released one.
    """
    digests = []
    for checkpoint in KNOWN_CHECKPOINTS:
        path = folder / checkpoint.file_name
        if not path.is_file():
            raise WeightsError(
                f"{folder} holds no {checkpoint.file_name}. Run `propainter weights fetch`, give --weights DIR, "
                "or use --engine classical."
            )
        digest = digest_of_file(path)
        if verify:
            require_released(path, path.stat().st_size, digest, checkpoint)
        digests.append((checkpoint.file_name, digest))
    return Weights(folder=folder, digests=tuple(digests), verified=verify)
