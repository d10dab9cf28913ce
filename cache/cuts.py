"""Where a video has cuts, kept block by block beside the entries: looking for them costs a pass over the video.

It spares work and nothing else: what is lost or broken is found again.
"""

import json
from contextlib import suppress
from pathlib import Path

from cache.keys import digest_of
from cache.publish import disk_errors, make_folder, replace
from cache.shards import decode_blob, encode_blob


class CutIndex:
    """The cuts of one video, by block: a block is a fixed number of pairs of frames, counted from the first."""

    def __init__(self, root: Path, recipe: dict[str, object]) -> None:
        """
        Args:
            root: the cache, which is there already.
            recipe: all that the cuts depend on, and the length of a block.
        """
        self._root = root
        digest = digest_of(recipe)
        self._folder = root / "cuts" / digest[:2] / digest

    def load(self, block: int) -> tuple[int, ...] | None:
        """None where they are not known."""
        with suppress(FileNotFoundError, ValueError):
            return tuple(json.loads(decode_blob(self._file(block).read_bytes())))
        return None

    def keep(self, block: int, cuts: tuple[int, ...]) -> None:
        """
        Raises:
            DiskFullError, StoreError: it cannot be written.
        """
        with disk_errors(self._root):
            make_folder(self._folder)
            replace(self._root, self._file(block), encode_blob(json.dumps(cuts).encode()))

    def _file(self, block: int) -> Path:
        return self._folder / str(block)
