"""What pyproject.toml has no settled words for: a library in C that may be missing, where there is no compiler."""

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            "propainter.ops._winograd",
            ["propainter/ops/winograd.c"],
            depends=["propainter/ops/winograd_tiles.h"],
            extra_compile_args=["-O3"],
            optional=True,
        )
    ]
)
