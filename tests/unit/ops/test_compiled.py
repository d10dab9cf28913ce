"""The compiled library is used only where it was made of the sources beside it."""

from pathlib import Path

import pytest

from propainter.ops import compiled


def test_a_library_of_other_sources_is_not_called(monkeypatch: pytest.MonkeyPatch) -> None:
    if compiled.library() is None:
        pytest.skip("installed without a C compiler")
    monkeypatch.setattr(compiled, "source_digest", lambda: "of others")
    assert compiled.library.__wrapped__() is None


def test_every_source_counts_and_an_installation_without_any_has_no_digest(tmp_path: Path) -> None:
    assert compiled.source_digest(tmp_path) == ""
    (tmp_path / "a.c").write_text("int a;")
    alone = compiled.source_digest(tmp_path)
    (tmp_path / "b.h").write_text("int b;")
    assert len({"", alone, compiled.source_digest(tmp_path)}) == 3
