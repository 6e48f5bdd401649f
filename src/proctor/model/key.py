"""Keys, images and rows: the three kinds of value that everything else is made of."""

from __future__ import annotations

import enum

from typing import Any, Final, TypeAlias


class Absent(enum.Enum):
    """The one image that is neither a value nor null: the path is not there."""

    ABSENT = "absent"


ABSENT: Final = Absent.ABSENT

Scalar: TypeAlias = str | int | float | bool | None

Key: TypeAlias = tuple[str | int, ...]
"""A row's ordered key, JSON-safe; made, compared and understood only by its store."""

Image: TypeAlias = str | Absent | None
"""One field as the server prints it; None is SQL NULL, ABSENT a missing nested path."""

Row: TypeAlias = dict[str, Any]
"""What an author's function gets: column name to Python value."""
