"""Settings from their three layers: preset < configuration file < command line (or a deployment's parameters).

Also where the cache lies, which is configured alike.
"""

import dataclasses
import difflib
import os
import re
from collections.abc import Iterable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from platformdirs import user_cache_dir
from pydantic import TypeAdapter, ValidationError

from propainter.core.errors import SettingsError
from propainter.core.settings import Settings

_SETTINGS = TypeAdapter(Settings)


def load_settings(
    overrides: Mapping[str, Any], *, preset: str | Mapping[str, Any] | None = None, config: Path | None = None
) -> Settings:
    """Layer and validate.

    Args:
        overrides: nested as `Settings` is; wins over the file, which wins over the preset.
        preset: a name, or what stands in for one, nested alike.

    Raises:
        SettingsError: an unknown preset or key (the nearest name is offered), or a value of the wrong kind.
    """
    merged: dict[str, Any] = {}
    if preset is not None:
        merged = _merge(merged, _read_yaml(preset_path(preset)) if isinstance(preset, str) else preset)
    if config is not None:
        merged = _merge(merged, _read_yaml(config))
    merged = _merge(merged, overrides)
    _reject_unknown_keys(merged, Settings, "")
    try:
        return _SETTINGS.validate_python(merged)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"] if not isinstance(part, int))
        raise SettingsError(f"{name} is {first['input']!r}: {first['msg'].lower()}.") from error


def nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    """{"masks.dilation": 4} as {"masks": {"dilation": 4}}, without what is None."""
    settings: dict[str, Any] = {}
    for path, value in flat.items():
        if value is not None:
            *sections, name = path.split(".")
            inner = settings
            for section in sections:
                inner = inner.setdefault(section, {})
            inner[name] = value
    return settings


def preset_names() -> list[str]:
    return sorted(path.name.removesuffix(".yaml") for path in (files("configs") / "presets").iterdir())


def preset_path(name: str) -> Path:
    """The preset's file.

    Raises:
        SettingsError: there is none of that name.
    """
    if name not in preset_names():
        raise SettingsError(f"There is no preset {name!r}.{_nearest(name, preset_names())}")
    return Path(str(files("configs") / "presets" / f"{name}.yaml"))


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _Loader) or {}
    except OSError as error:
        raise SettingsError(f"{path} cannot be read ({error.strerror}). Give a YAML file of settings.") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path} is not text. Give a YAML file of settings.") from error
    except yaml.MarkedYAMLError as error:
        where = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise SettingsError(f"{path} is not YAML ({error.problem}{where}). Give `name: value` lines.") from error
    if not isinstance(content, dict):
        raise SettingsError(f"{path} holds a {type(content).__name__}, not settings. Give `name: value` lines.")
    return content


class _Loader(yaml.SafeLoader):
    """YAML without its numbers to the base of 60 and its other words for booleans.

    `start: 1:10` is a time, not frame 70, and `cuts: off` a word, not false.
    """


_PATTERNS = {
    "tag:yaml.org,2002:int": re.compile(r"[-+]?\d+$"),
    "tag:yaml.org,2002:float": re.compile(r"[-+]?(\d+\.\d*|\.\d+)([eE][-+]?\d+)?$"),
    "tag:yaml.org,2002:bool": re.compile("(true|false)$"),
}
_Loader.yaml_implicit_resolvers = {
    first: [(tag, _PATTERNS.get(tag, pattern)) for tag, pattern in resolvers]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        if isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
            merged[key] = _merge(merged[key], value)
        else:
            merged[key] = value
    return merged


def _reject_unknown_keys(values: Mapping[str, Any], section: type, path: str) -> None:
    known = {field.name: field.type for field in dataclasses.fields(section)}
    for key, value in values.items():
        if key not in known:
            raise SettingsError(f"There is no setting {path}{key}.{_nearest(str(key), known)}")
        field_type = known[key]
        if isinstance(field_type, type) and dataclasses.is_dataclass(field_type):
            if not isinstance(value, Mapping):
                raise SettingsError(f"{path}{key} is {value!r}. It is a section: give its settings below it.")
            _reject_unknown_keys(value, field_type, f"{path}{key}.")


def _nearest(name: str, known: Iterable[str]) -> str:
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1)
    return f" Did you mean {close[0]}?" if close else f" Choose from {', '.join(known)}."


def cache_folder(asked: str | Path | None) -> Path:
    """Where results are kept: as asked, else PROPAINTER_CACHE, else the platform's folder for caches."""
    if asked is not None and str(asked) in ("", "."):
        raise SettingsError("The cache would fill the current folder. Give --cache a folder of its own.")
    return Path(asked or os.environ.get("PROPAINTER_CACHE") or user_cache_dir("propainter")).absolute()
