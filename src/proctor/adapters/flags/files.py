"""Rewrite a file that others read: under a lock, whole or not at all, with its mode kept."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
import time

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from proctor.adapters.flags.tool import fault
from proctor.model import FlagSettings

_PAUSE_S: Final = 0.02


@contextlib.contextmanager
def locked(settings: FlagSettings, path: Path) -> Iterator[Path]:
    """Keep other Proctors away from a file; gives the file itself where it is a link.

    It is the folder that is locked: the file is replaced, and a lock on it would go with it.
    """
    real = path.resolve()
    try:
        folder = os.open(real.parent, os.O_RDONLY)
    except OSError as error:
        raise _unusable(settings, real, error) from None
    try:
        _lock(settings, folder)
        yield real
    finally:
        os.close(folder)


def _lock(settings: FlagSettings, folder: int) -> None:
    until = time.monotonic() + settings.timeout_s
    while True:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                raise fault(
                    settings,
                    "cannot be written: another process holds its folder",
                    fix="wait for it, or find it with `lsof`",
                ) from None
            time.sleep(_PAUSE_S)
        else:
            return


def content(settings: FlagSettings, path: Path) -> str:
    """A file's text with its line ends as they are. Raises FlagFault."""
    try:
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError:
        raise fault(
            settings, f"is in {path.name}, which is not UTF-8", fix="save it as UTF-8"
        ) from None
    except OSError as error:
        raise _unusable(settings, path, error) from None


def replace(settings: FlagSettings, path: Path, text: str) -> None:
    """Put a text in the place of a file: readers see the old one or the new one, never a part."""
    try:
        _replace(path, text.encode("utf-8"))
    except OSError as error:
        raise _unusable(settings, path, error) from None


def _replace(path: Path, text: bytes) -> None:
    kept = path.stat()
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    fresh = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(text)
            file.flush()
            os.fchmod(handle, kept.st_mode & 0o7777)
            if (kept.st_uid, kept.st_gid) != (os.geteuid(), os.getegid()):
                with contextlib.suppress(PermissionError):  # only root may give files away
                    os.fchown(handle, kept.st_uid, kept.st_gid)
            os.fsync(handle)
        fresh.replace(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # else a power cut could bring the old file back
    finally:
        os.close(folder)


def _unusable(settings: FlagSettings, path: Path, error: OSError) -> Exception:
    return fault(
        settings,
        f"is in {path}, which cannot be used",
        found=error.strerror or type(error).__name__,
        fix="make the file, and let this user write in its folder: it is replaced, not changed",
    )


__all__ = ["content", "locked", "replace"]
