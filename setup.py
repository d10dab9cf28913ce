"""What pyproject.toml has no settled words for: a library in C that may be missing, where there is no compiler."""

import runpy
from pathlib import Path

from setuptools import Extension, setup

OPS = Path("propainter/ops")
digest = runpy.run_path(str(OPS / "compiled.py"))["source_digest"](OPS)

setup(
    ext_modules=[
        Extension(
            "propainter.ops._compiled",
            [str(source) for source in sorted(OPS.glob("*.c"))],
            depends=[str(header) for header in sorted(OPS.glob("*.h"))],
            define_macros=[("SOURCE_DIGEST", f'"{digest}"')],
            extra_compile_args=["-O3"],
            optional=True,
        )
    ]
)
