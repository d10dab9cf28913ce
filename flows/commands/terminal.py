"""What the commands share: the two consoles, progress on them, options' types and words, a status."""

import re
import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from rich.console import Console

from flows.progress import JsonProgress, Progress, TerminalProgress
from propainter.core.errors import SettingsError

console = Console(stderr=True, highlight=False, emoji=False)
out = Console(highlight=False, emoji=False)

EXIT_SOME_FAILED = 3
"""Some clips failed, and the others are done."""

Cache = Annotated[Path | None, Parameter(help="Folder for results; default PROPAINTER_CACHE or the platform's.")]
LogFormat = Literal["text", "json"]


def progress_in(log_format: LogFormat) -> Progress:
    """A bar, or for programs that watch one JSON object a line on the error output."""
    return JsonProgress(sys.stderr) if log_format == "json" else TerminalProgress(console, out)


def text_of(path: Path | None) -> str | None:
    """For a flow, whose parameters are plain values."""
    return None if path is None else str(path)


def bytes_of(size: str | None) -> int | None:
    if size is None:
        return None
    match = re.fullmatch(r"(\d{1,15}(?:\.\d+)?)\s*([KMGT]?)B?", size.strip(), re.IGNORECASE)
    if match is None:
        raise SettingsError(f"{size!r} is no size. Give bytes, or a number with KB, MB, GB or TB.")
    units = ("", "K", "M", "G", "T")
    return int(float(match[1]) * 1000 ** units.index(match[2].upper()))
