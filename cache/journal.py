"""Who committed what: one line per segment that was computed and won its place.

A witness, not the truth: resuming never reads it. It shows that no work was done twice.
"""

import json
import os
from collections import Counter
from contextlib import suppress
from pathlib import Path

from cache.publish import FULL

_FIELDS = {"stage", "key", "segment", "pid"}


def record_commit(root: Path, stage: str, digest: str, segment: int) -> None:
    """Append one line, in one write, so that lines of several processes do not mix."""
    line = json.dumps({"stage": stage, "key": digest, "segment": segment, "pid": os.getpid()}) + "\n"
    descriptor = os.open(_path(root), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(descriptor, line.encode())
    except OSError as error:
        # The segment is committed; a full disk is for the next segment to report.
        if error.errno not in FULL:
            raise
    finally:
        os.close(descriptor)


def committed_counts(root: Path) -> Counter[tuple[str, str, int]]:
    """How often each (stage, key digest, segment) was computed and committed."""
    counts: Counter[tuple[str, str, int]] = Counter()
    if not _path(root).exists():
        return counts
    for line in _path(root).read_text(errors="replace").splitlines():
        with suppress(ValueError):  # a line cut short by a full disk
            record = json.loads(line)
            if isinstance(record, dict) and record.keys() >= _FIELDS:
                counts[record["stage"], record["key"], record["segment"]] += 1
    return counts


def _path(root: Path) -> Path:
    return root / "journal.jsonl"
