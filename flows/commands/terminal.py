"""What the commands share: the two consoles, the cache's option, sizes as people write them."""

import re
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.filesize import decimal

from propainter.core.errors import SettingsError

console = Console(stderr=True, highlight=False, emoji=False)
out = Console(highlight=False, emoji=False)

Cache = Annotated[Path | None, Parameter(help="Folder for results; default PROPAINTER_CACHE or the platform's.")]


def bytes_of(size: str | None) -> int | None:
    if size is None:
        return None
    match = re.fullmatch(r"(\d{1,15}(?:\.\d+)?)\s*([KMGT]?)B?", size.strip(), re.IGNORECASE)
    if match is None:
        raise SettingsError(f"{size!r} is no size. Give bytes, or a number with KB, MB, GB or TB.")
    units = ("", "K", "M", "G", "T")
    return int(float(match[1]) * 1000 ** units.index(match[2].upper()))


def size_text(size_bytes: int | None) -> str:
    if size_bytes is None:
        return ""
    return decimal(size_bytes)
