"""The result's place: may it be written, is it being written, and its appearance whole under its final name."""

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from propainter.core.errors import OutputError
from propainter.core.locks import try_lock
from tasks.devices import machine_locks

VIDEO_SUFFIXES = (".mp4", ".mkv", ".mov")


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """A video file, or a folder of numbered PNG, by its final name."""

    path: Path

    @property
    def is_folder(self) -> bool:
        return self.path.suffix == ""

    @property
    def partial(self) -> Path:
        """Where it grows, beside its final place: the rename that publishes it stays on one file system."""
        return self.path.with_name(f".{self.path.name}.partial{self.path.suffix}")

    @property
    def report_folder(self) -> Path:
        return self.path.with_name(f"{self.path.name}.report")

    def check(self, video: Path, *, overwrite: bool, is_ours: Callable[[], bool]) -> None:
        """Refuse before any work what could not be published after it.

        Args:
            is_ours: whether what stands there now is what an earlier run wrote, unchanged.

        Raises:
            OutputError: with the way out.
        """
        path = self.path
        if not path.name or path.name.lower() in VIDEO_SUFFIXES:
            raise OutputError(f"{path} is no name for a result. Give a file, as out.mp4, or a folder for PNG.")
        if not self.is_folder and path.suffix.lower() not in VIDEO_SUFFIXES:
            raise OutputError(
                f"{path} ends in {path.suffix}. "
                f"Give a name that ends in {', '.join(VIDEO_SUFFIXES)}, or a folder for PNG."
            )
        if not path.parent.is_dir():
            raise OutputError(f"There is no folder {path.parent} to write {path.name} to. Make it, or give another.")
        if path.exists() and video.exists() and path.samefile(video):
            raise OutputError(f"{path} is the video itself. Give the result another name.")
        if not os.access(path.parent, os.W_OK | os.X_OK):
            raise OutputError(f"The folder {path.parent} may not be written to. Give an output elsewhere.")
        if path.exists() and path.is_dir() != self.is_folder:
            kind = "a folder" if path.is_dir() else "a file"
            raise OutputError(f"{path} is {kind} already. Give the result another name.")
        if path.exists() and not self._empty_folder() and not overwrite and not is_ours():
            raise OutputError(f"{path} exists and was not written by such a run. Give --overwrite to replace it.")
        if self.is_folder and path.exists():
            self._refuse_foreign_files()

    def _empty_folder(self) -> bool:
        return self.is_folder and not any(self.path.iterdir())

    def _refuse_foreign_files(self) -> None:
        for entry in self.path.iterdir():
            if not re.fullmatch(r"\d+\.png", entry.name):
                raise OutputError(f"{self.path} holds {entry.name}, which is no frame. Give another folder.")

    @contextmanager
    def writing(self) -> Iterator[Path]:
        """The place to write to; published when the block ends well, removed when it does not.

        What an earlier, killed run left half-made is removed first.
        """
        self._remove(self.partial)
        try:
            yield self.partial
            self._publish()
        finally:
            self._remove(self.partial)

    def _publish(self) -> None:
        old = self.path.with_name(f".{self.path.name}.replaced")
        if self.is_folder and self.path.exists():
            self._remove(old)
            self.path.rename(old)
        self.partial.replace(self.path)
        self._remove(old)
        directory = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def remove(self) -> None:
        """Take away what was published here, and what was left half-made."""
        self._remove(self.partial)
        self._remove(self.path)

    @staticmethod
    def _remove(path: Path) -> None:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Held by one run of this user at a time, whatever its cache; the kernel lets go of it when the run dies.

        Raises:
            OutputError: another run is writing this output now.
        """
        name = hashlib.blake2b(os.fsencode(self.path.resolve()), digest_size=20).hexdigest()
        descriptor = try_lock(machine_locks("outputs") / name)
        if descriptor is None:
            raise OutputError(f"Another run is writing {self.path} now. Wait for it, or give another name.")
        try:
            yield
        finally:
            os.close(descriptor)
