"""Puts a file in the place of another: whole or not at all, whoever reads it or is killed.

Everything that Proctor keeps or is asked to write goes through here: reports, plans, snapshots. A
flag's file has rules of its own (somebody else's file, under a lock of its folder) in adapters.
"""

from __future__ import annotations

import contextlib
import fcntl
import os

from collections.abc import Iterator
from pathlib import Path
from typing import Final

NEW: Final = 0o666
"""The rights of a file that was not there, less what the user's mask takes."""
STREAMS: Final = ("/dev/stdout", "/dev/stderr", "/dev/fd/", "/proc/")


def replace_now(path: Path, text: str, *, mode: int | None = None) -> None:
    """Put a text where a file is, or none yet; nobody ever reads half of it.

    mode: the rights of the file; without it those of the one that is there. A link stays one. What
    is no file (a pipe, `/dev/stdout`) is written to as it is. Raises OSError.
    """
    streams = str(path.absolute()).startswith(STREAMS)  # of a shell, which may hold it open
    if streams or (path.exists() and not path.is_file()):
        path.write_text(text, encoding="utf-8")
        return
    real = path.resolve()
    if mode is None and real.exists():
        mode = real.stat().st_mode & 0o7777
    fresh = real.with_name(f".{real.name}.new")
    with _alone(fresh, NEW if mode is None else mode) as handle:
        if mode is not None:
            os.fchmod(handle, mode)  # before anything stands in it: it may be values of rows
        _write(handle, text.encode("utf-8"))
        os.fsync(handle)
        fresh.replace(real)
    _settle(real.parent)


@contextlib.contextmanager
def _alone(fresh: Path, mode: int) -> Iterator[int]:
    """The file beside it, empty and ours alone; one that a killed process left is used again."""
    while True:
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, mode)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            if _is(fresh, handle):
                os.ftruncate(handle, 0)
                yield handle
                return
        except BaseException:
            if _is(fresh, handle):
                fresh.unlink(missing_ok=True)
            raise
        finally:
            os.close(handle)


def _is(fresh: Path, handle: int) -> bool:
    """Whether the file is still the one that was opened: another process may have moved it."""
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(handle), fresh.stat())
    return False


def _write(handle: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(handle, left) :]


def _settle(folder: Path) -> None:
    """Make the new name last: else a power cut could bring the old file back."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


__all__ = ["replace_now"]
