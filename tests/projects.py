"""Projects of an author, written to a temporary directory and loaded as proctor would."""

import textwrap

from proctor.authoring import load
from proctor.model import Page


def project(root, **files):
    """Write modules (path without .py = source) and load `backfills`; its backfills by name."""
    for name, source in files.items():
        path = root / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(source))
    return load(["backfills"], root)


def page_of(rows, *, key="id", gone=()):
    """A page of these rows, as a store would read it."""
    return Page(
        keys=[(row[key],) for row in rows],
        rows=rows,
        versions=[None] * len(rows),
        images=[(None,)] * len(rows),
        gone=tuple(gone),
    )
