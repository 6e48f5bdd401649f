"""A project that runs: what `proctor init` puts into a directory."""

from __future__ import annotations

import runpy

from pathlib import Path
from typing import Final

from proctor.errors import UsageError

TEMPLATES: Final = Path(__file__).with_name("templates")
FILES: Final = (
    ("proctor.toml", "proctor.toml.txt", "where the backfills, the record and the databases are"),
    ("backfills.py", "backfills.py.txt", "one backfill, with comments"),
    ("tests/test_backfills.py", "test_backfills.py.txt", "its test: run pytest"),
    ("seed.py", "seed.py.txt", "makes shop.db again"),
    ("pytest.ini", "pytest.ini.txt", "so that pytest finds backfills.py"),
    (".gitignore", "gitignore.txt", "keeps .proctor/ and shop.db out of git"),
)
DATABASE: Final = ("shop.db", "1,000 customers to try it on")


def make(directory: Path) -> list[tuple[str, str]]:
    """Write the project; names and what they are for, in the order to read them.

    Raises UsageError, before anything is written, when one of its files is there already or
    the directory cannot be written.
    """
    names = [name for name, _, _ in FILES] + [DATABASE[0]]
    there = [name for name in names if (directory / name).exists()]
    if there:
        raise UsageError(
            f"{directory} has a project in it already",
            found=", ".join(there),
            fix="name a new directory: proctor init DIR",
        )
    try:
        for name, template, _ in FILES:
            path = directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text((TEMPLATES / template).read_text(encoding="utf-8"), encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"{directory} cannot be written", found=str(error.strerror), fix="name another one"
        ) from error
    # The very script that the project holds, so that it can be trusted to work again.
    runpy.run_path(str(directory / "seed.py"), run_name="__main__")
    return [(name, what) for name, _, what in FILES] + [DATABASE]
