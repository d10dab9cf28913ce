import os
import threading
from pathlib import Path

from propainter.core.locks import lock, try_lock


def test_many_share_a_lock_and_one_alone_keeps_all_others_out(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    first, second = lock(path, shared=True), lock(path, shared=True)
    assert try_lock(path) is None
    os.close(first)
    os.close(second)
    alone = try_lock(path)
    assert alone is not None
    assert try_lock(path, shared=True) is None
    os.close(alone)


def test_who_waits_for_a_file_that_is_swept_gets_the_one_that_has_the_name_now(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    held, got = lock(path), list[int]()
    waiting = threading.Thread(target=lambda: got.append(lock(path)))
    waiting.start()
    path.unlink()
    os.close(held)
    waiting.join()
    assert try_lock(path) is None
    os.close(got[0])
