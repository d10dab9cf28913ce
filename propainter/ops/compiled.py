"""The library that setup.py makes of the C files here, if there was a compiler.

compiled = library()
"""

import ctypes
import hashlib
from functools import cache
from importlib.util import find_spec
from pathlib import Path


@cache
def library() -> ctypes.CDLL | None:
    """None where it was not compiled, for another machine, or from other sources than lie here now."""
    spec = find_spec("propainter.ops._compiled")
    if spec is None or spec.origin is None:
        return None
    try:
        found = ctypes.CDLL(spec.origin)
    except OSError:
        return None
    found.source_digest.restype = ctypes.c_char_p
    digest = source_digest()
    if digest and found.source_digest() != digest.encode():
        return None
    found.widest_panel.restype = ctypes.c_long
    return found


def source_digest(folder: Path = Path(__file__).parent) -> str:
    """Of the C files; empty where an installation has none."""
    sources = sorted(folder.glob("*.[ch]"))
    return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest() if sources else ""
