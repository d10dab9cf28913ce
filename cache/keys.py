"""What a stage's result depends on, and nothing else: digests of plain recipes, and the identity of an entry.

Which facts enter a recipe is the flow's decision; here they only become names.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from math import isfinite

from cache.layout import SCHEMA

_DIGEST_BYTES = 20


def digest_of(recipe: Mapping[str, object]) -> str:
    """blake2b-160, in hex, of the canonical JSON of recipe: the same for equal recipes in any process, on any host.

    Tuples count as lists. 1, 1.0 and True are three different values.

    Raises:
        TypeError: something in it is not a plain str, int, float, bool, None, list, tuple or mapping with str keys,
            or is a float that is not finite.
    """
    _require_plain(recipe, "recipe")
    text = json.dumps(_as_dicts(recipe), sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return blake2b(text.encode("ascii"), digest_size=_DIGEST_BYTES).hexdigest()


@dataclass(frozen=True, slots=True)
class StageKey:
    """Identity of one entry: a stage, for each of its segments the digest of all that this segment depends on, and
    the digest of how they are laid out ("": pieces without a layout).

    Two entries that share a segment's digest (and the layout) share its bytes.
    """

    stage: str
    segments: tuple[str, ...]
    layout: str = ""
    digest: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.stage.isidentifier():
            raise ValueError(f"stage {self.stage!r} is not a name.")
        identity = {"schema": SCHEMA, "stage": self.stage, "segments": self.segments, "layout": self.layout}
        object.__setattr__(self, "digest", digest_of(identity))


def _require_plain(value: object, where: str) -> None:
    if isinstance(value, Mapping):
        for key, item in value.items():
            if type(key) is not str:
                raise TypeError(f"{where} has the key {key!r}; keys must be str.")
            _require_plain(item, f"{where}[{key!r}]")
    elif type(value) in (list, tuple):
        for index, item in enumerate(value):  # type: ignore[arg-type]
            _require_plain(item, f"{where}[{index}]")
    elif type(value) is float and not isfinite(value):
        raise TypeError(f"{where} is {value}; a key holds finite numbers only.")
    elif type(value) not in (str, int, float, bool, type(None)):
        raise TypeError(f"{where} is {value!r} of type {type(value).__name__}; a key holds plain values only.")


def _as_dicts(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _as_dicts(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_as_dicts(item) for item in value]
    return value
