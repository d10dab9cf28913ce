"""A deployment's parameters from a YAML file, so that a schedule can be changed without deploying anew."""

import dataclasses
import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import TypeAdapter, ValidationError

from propainter.core.errors import SettingsError

Request = TypeVar("Request")


def request_from(kind: type[Request], given: Mapping[str, Any], config: str | None) -> Request:
    """The dataclass `kind`, from a file's values and those given, which win; None counts as not given.

    Raises:
        SettingsError: the file cannot be read, a name is unknown, or a value is of the wrong kind.
    """
    values = {} if config is None else _read(Path(config))
    values |= {name: value for name, value in given.items() if value is not None}
    known = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
    for name in values:
        if name not in known:
            nearest = difflib.get_close_matches(str(name), known, n=1) or known
            raise SettingsError(f"{config} has no use for {name!r}. Did you mean {' or '.join(nearest)}?")
    try:
        return TypeAdapter(kind).validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        if first["type"] in ("missing", "missing_argument", "missing_keyword_only_argument"):
            raise SettingsError(f"{name} is missing. Give it as a parameter or in a file of them.") from error
        raise SettingsError(f"{name} is {first['input']!r}: {first['msg'].lower()}.") from error


def _read(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except OSError as error:
        raise SettingsError(f"{path} cannot be read ({error.strerror}). Give a YAML file of parameters.") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise SettingsError(f"{path} is not YAML. Give `name: value` lines.") from error
    if not isinstance(values, dict):
        raise SettingsError(f"{path} holds a {type(values).__name__}, not parameters. Give `name: value` lines.")
    return values
