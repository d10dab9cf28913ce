"""What the commands share: the two consoles, the cache's option, sizes as people write them, a status."""

import re
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console

from propainter.core.errors import SettingsError

console = Console(stderr=True, highlight=False, emoji=False)
out = Console(highlight=False, emoji=False)

EXIT_SOME_FAILED = 3
"""Some clips failed, and the others are done."""

Cache = Annotated[Path | None, Parameter(help="Folder for results; default PROPAINTER_CACHE or the platform's.")]


def bytes_of(size: str | None) -> int | None:
    if size is None:
        return None
    match = re.fullmatch(r"(\d{1,15}(?:\.\d+)?)\s*([KMGT]?)B?", size.strip(), re.IGNORECASE)
    if match is None:
        raise SettingsError(f"{size!r} is no size. Give bytes, or a number with KB, MB, GB or TB.")
    units = ("", "K", "M", "G", "T")
    return int(float(match[1]) * 1000 ** units.index(match[2].upper()))
