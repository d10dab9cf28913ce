"""The manual against what is there: links lead to files, and the README names commands and options that exist."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from cyclopts import App

from flows.cli import app

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_relative_link_leads_to_something(page: Path) -> None:
    links = re.findall(r"\]\(([^)\s#]+)[^)]*\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if "://" not in link and not (page.parent / link).exists()] == []


def test_every_option_that_the_readme_names_exists() -> None:
    known = {name for command in commands(app) for names in options(command) for name in names}
    named = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", code_in_readme()))
    assert {"--mask", "-o", "--fresh"} <= named
    assert named - known == set()


def test_every_command_that_the_readme_names_exists() -> None:
    named = re.findall(r"\bpropainter ([a-z]+)(?: ([a-z]+(?:\|[a-z]+)*))?", code_in_readme())
    assert {name for name, _ in named} >= {"inpaint", "cache", "server"}
    for name, below in named:
        assert name in app
        group = app[name]
        if list(commands(group)) != [group]:
            assert [word for word in below.split("|") if word and word not in group] == []


def code_in_readme() -> str:
    return "\n".join(re.findall(r"```sh\n.*?```|`[^`\n]+`", PAGES[0].read_text(encoding="utf-8"), re.DOTALL))


def commands(below: App) -> Iterator[App]:
    """A command and all those below it."""
    yield below
    for name in below:
        if not name.startswith("-"):
            yield from commands(below[name])


def options(command: App) -> Iterator[tuple[str, ...]]:
    yield (*command.help_flags, *command.version_flags)
    if command.default_command is not None:
        yield from (argument.names for argument in command.assemble_argument_collection())
