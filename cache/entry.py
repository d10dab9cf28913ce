"""The small files of an entry, which say what its segments are: zarr.json, recipe.json, manifest.json.

A segment's file does not say whose it is. So its layout is written down twice, in recipe.json beside the key and in
zarr.json, and where the two do not agree nothing in the entry is believed.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cache.keys import StageKey
from cache.layout import HEADER, MANIFEST, RECIPE, SCHEMA, ArraySpec, header_bytes, is_segment_name
from cache.publish import publish, replace
from cache.shards import Look
from propainter.core.errors import MissingSegmentError


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One segment in a manifest: the size of its file, and the crc32c that the file has at its end."""

    segment: int
    size_bytes: int
    crc32c: int

    @classmethod
    def of(cls, segment: int, found: Look) -> "Listed":
        return cls(segment=segment, size_bytes=found.size_bytes, crc32c=found.crc32c)


def publish_header(
    root: Path, folder: Path, key: StageKey, spec: ArraySpec | None, recipe: Mapping[str, object]
) -> None:
    """Write what is not there yet of zarr.json and recipe.json."""
    if spec is not None and not (folder / HEADER).exists():
        publish(root, folder / HEADER, [header_bytes(spec)])
    if not (folder / RECIPE).exists():
        story = {
            "schema": SCHEMA,
            "stage": key.stage,
            "key": key.digest,
            "array": _as_json(spec),
            "segments": list(key.segments),
            "layout": key.layout,
            "recipe": dict(recipe),
        }
        publish(root, folder / RECIPE, [json.dumps(story, indent=1).encode()])


def occupied(folder: Path) -> bool:
    """Whether anything in the entry depends on what its header says."""
    return any(is_segment_name(path.name) or path.name == MANIFEST for path in folder.iterdir())


def header_fault(folder: Path, key: StageKey, spec: ArraySpec | None) -> str | None:
    """Why the entry's files cannot be believed to be key's, laid out as spec; None: they can, or there are none."""
    try:
        # Listed before the header is looked at: whoever writes a segment has written the header before.
        needed = occupied(folder)
    except FileNotFoundError:
        return None
    if (folder / RECIPE).exists():
        if not {"key": key.digest, "array": _as_json(spec)}.items() <= _load(folder / RECIPE).items():
            return f"{RECIPE} is not its own"
    elif needed:
        return f"{RECIPE} is missing"
    if (folder / HEADER).exists():
        if spec is None or (folder / HEADER).read_bytes() != header_bytes(spec):
            return f"{HEADER} is not its own"
    elif needed and spec is not None:
        return f"{HEADER} is missing"
    return None


def read_key(folder: Path) -> StageKey:
    """Whose entry this is, by recipe.json.

    Raises:
        MissingSegmentError: that is not there, or not of this folder.
    """
    story = _load(folder / RECIPE)
    with suppress(KeyError, TypeError, ValueError):
        key = StageKey(story["stage"], tuple(story["segments"]), story["layout"])
        if key.digest == folder.name:
            return key
    raise MissingSegmentError(f"{folder} holds no {RECIPE} of its own. Run again: it is made anew.")


def read_spec(folder: Path, key: StageKey) -> ArraySpec | None:
    """The layout of an entry, as its own files agree on it; None: it holds blobs.

    Raises:
        MissingSegmentError: it was not created, or cannot be believed.
    """
    story = _load(folder / RECIPE)
    with suppress(KeyError, TypeError, ValueError, FileNotFoundError):
        spec = None if story["array"] is None else ArraySpec.from_json(story["array"])
        if (spec is None or (folder / HEADER).exists()) and header_fault(folder, key, spec) is None:
            return spec
    raise MissingSegmentError(f"{key.stage} has no entry of its own at {folder}. Run again: it is made anew.")


def write_manifest(root: Path, folder: Path, key: StageKey, listed: list[Listed]) -> None:
    """Say that the entry is complete, and with what."""
    manifest = {
        "schema": SCHEMA,
        "stage": key.stage,
        "key": key.digest,
        "size_bytes": sum(item.size_bytes for item in listed),
        "segments": [asdict(item) for item in listed],
    }
    replace(root, folder / MANIFEST, json.dumps(manifest).encode())


def read_manifest(folder: Path) -> list[Listed] | None:
    """What the entry was complete with; None where it has no manifest, or none that can be read."""
    with suppress(KeyError, TypeError):
        return [Listed(**item) for item in _load(folder / MANIFEST)["segments"]]
    return None


def _as_json(spec: ArraySpec | None) -> dict[str, object] | None:
    return None if spec is None else spec.as_json()


def _load(path: Path) -> dict[str, Any]:
    try:
        loaded = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return loaded if isinstance(loaded, dict) else {}
