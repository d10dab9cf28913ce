"""`propainter cache`: look after the results kept on disk."""

import math
from datetime import datetime
from typing import Annotated

import cyclopts
from cyclopts import Parameter
from rich.filesize import decimal
from rich.table import Table

from cache.gc import gc
from cache.maintenance import list_entries, pin, stat, unpin, verify
from cache.room import room, used_bytes
from flows.commands.terminal import Cache, bytes_of, out
from flows.configuration import cache_folder
from propainter.core.errors import SettingsError

cache_app = cyclopts.App(name="cache", help="Look after the results kept on disk.")


@cache_app.command(name="ls")
def cache_ls(*, cache: Cache = None) -> None:
    """Every entry: stage, key, segments, size, last use."""
    table = Table("stage", "key", "segments", "size", "last used", "")
    for entry in sorted(list_entries(cache_folder(cache)), key=lambda entry: entry.last_used_s):
        table.add_row(
            entry.stage,
            entry.digest[:12],
            str(entry.segments) if entry.complete else "incomplete",
            decimal(entry.size_bytes),
            datetime.fromtimestamp(entry.last_used_s).strftime("%Y-%m-%d %H:%M"),
            "pinned" if entry.pinned else "",
        )
    out.print(table)


@cache_app.command(name="stat")
def cache_stat(*, cache: Cache = None) -> None:
    """Entries and bytes by stage."""
    root = cache_folder(cache)
    table = Table("stage", "entries", "incomplete", "size")
    for total in stat(root):
        table.add_row(total.stage, str(total.entries), str(total.incomplete), decimal(total.size_bytes))
    out.print(table)
    used, free = decimal(used_bytes(root)), decimal(room(root))
    out.print(f"{root} holds {used}, unfinished entries counted; {free} are free.", markup=False, soft_wrap=True)


@cache_app.command(name="verify")
def cache_verify(*, quick: Annotated[bool, Parameter(negative="")] = False, cache: Cache = None) -> int:
    """Check every checksum (--quick: every shard's index); what is broken is set aside and named."""
    result = verify(cache_folder(cache), quick=quick)
    for fault in result.faults:
        out.print(f"{fault.path}: {fault.reason}. It was set aside.", markup=False, soft_wrap=True)
    out.print(f"{result.segments} segments checked, {len(result.faults)} broken.")
    return 1 if result.faults else 0


@cache_app.command(name="gc")
def cache_gc(*, max_size: str | None = None, max_age_days: float | None = None, cache: Cache = None) -> None:
    """Delete whole entries, those unused for longest first, down to --max-size or up to --max-age-days."""
    if max_age_days is not None and not 0 <= max_age_days < math.inf:
        raise SettingsError(f"max_age_days is {max_age_days}. Give days, 0 or more.")
    collected = gc(
        cache_folder(cache),
        max_bytes=bytes_of(max_size),
        max_age_s=None if max_age_days is None else max_age_days * 86400,
    )
    out.print(f"{len(collected.removed)} entries deleted, {decimal(collected.freed_bytes)} freed.")


@cache_app.command(name="pin")
def cache_pin(key: str, *, cache: Cache = None) -> None:
    """Keep an entry, named by the beginning of its key, from ever being collected."""
    out.print(f"Pinned {pin(cache_folder(cache), key).digest}.")


@cache_app.command(name="unpin")
def cache_unpin(key: str, *, cache: Cache = None) -> None:
    """Let a pinned entry be collected again."""
    out.print(f"Unpinned {unpin(cache_folder(cache), key).digest}.")
