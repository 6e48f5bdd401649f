"""Keys of rows: how they are printed, compared, sent and typed by a person."""

from __future__ import annotations

import csv
import uuid

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from proctor.adapters.stores.postgres import codecs
from proctor.adapters.stores.postgres.catalog import Field
from proctor.adapters.stores.postgres.literal import text, texts
from proctor.adapters.stores.postgres.values import INTEGERS
from proctor.errors import UsageError
from proctor.model import Key, Spec

SENT: Final = '"proctor_sent"'
"""What came along with a statement, as a table beside the user's."""
INT8: Final = range(-(2**63), 2**63)


@dataclass(frozen=True, kw_only=True)
class KeyColumn:
    """One part of a key: where it is read, and where the row to be written has it."""

    field: Field
    target: Field
    descending: bool = False

    @property
    def whole(self) -> bool:
        """Whether it is a whole number, sent and kept as such; all others as text."""
        return self.field.type.name in INTEGERS

    @property
    def ordered_alike(self) -> bool:
        """Whether both sides of it sort the same keys in the same order."""
        if self.whole:
            return self.target.type.name in INTEGERS
        same = (self.field.type, self.field.collation) == (self.target.type, self.target.collation)
        return same and self.field.padded == self.target.padded

    def printed(self, column: str) -> str:
        """The part as it goes into a Key."""
        return column if self.whole else self.field.image(column)

    def literal(self, part: str | int, *, on_target: bool = False) -> str:
        """A part as a constant to compare with the column."""
        field = self.target if on_target else self.field
        if self.whole:
            return f"{int(part)}::pg_catalog.int8"
        return field.compared(text(str(part)))

    def sent(self, cell: str, *, on_target: bool = False) -> str:
        """A member of a sent array as a value to compare with the column."""
        field = self.target if on_target else self.field
        return cell if self.whole else field.compared(cell)

    @property
    def array(self) -> str:
        """The type of the array that carries this part of many keys."""
        return "pg_catalog.int8[]" if self.whole else "pg_catalog.text[]"

    def packed(self, parts: Sequence[str | int]) -> codecs.Packed:
        """This part of many keys in binary form."""
        if self.whole:
            return codecs.int8s([int(p) for p in parts])
        return codecs.texts([str(p).encode() for p in parts])

    def listed(self, parts: Sequence[str | int]) -> str:
        """This part of many keys as a literal array, for messages without parameters."""
        if self.whole:
            return f"'{{{','.join(str(self.typed(str(p))) for p in parts)}}}'::pg_catalog.int8[]"
        return texts(str(p) for p in parts)

    def typed(self, part: str) -> str | int:
        """What a person typed; UsageError where it cannot be a value of this column."""
        try:
            if self.whole:
                number = int(part)
                if number in INT8:
                    return number
            elif self.field.type.name == "uuid":
                return str(uuid.UUID(part))
            elif "\0" not in part:
                return part
        except ValueError:
            pass
        raise UsageError(
            f"{part!r} is no key here",
            found=f"{self.field.name} is {self.field.declared}",
            fix="write keys as `proctor failures` and the reports print them",
        )


def place(
    columns: Sequence[KeyColumn], key: Key, *, on_target: bool = False
) -> Callable[[int], str]:
    """The placeholders of keyset predicates: constants, for a key is data and not text."""
    return lambda i: columns[i].literal(key[i], on_target=on_target)


def sent(columns: Sequence[KeyColumn], *, on_target: bool = False) -> list[str]:
    """The parts of keys that were sent along, as values to compare with the columns."""
    return [c.sent(f"{SENT}.proctor_k{i}", on_target=on_target) for i, c in enumerate(columns)]


def unnested(columns: Sequence[KeyColumn], keys: Sequence[Key]) -> str:
    """Keys as a FROM item made of literals; `proctor_at` counts from 1.

    No name of it can be taken for a column that an author's SQL means.
    """
    arrays = ", ".join(c.listed([key[i] for key in keys]) for i, c in enumerate(columns))
    names = ", ".join(f"proctor_k{i}" for i in range(len(columns)))
    return f"unnest({arrays}) WITH ORDINALITY AS {SENT}({names}, proctor_at)"


def typed(spec: Spec, columns: Sequence[KeyColumn] | None, given: str) -> Key:
    """A key as a person types it, parts separated by commas."""
    count = len(spec.key)
    parts = [given] if count == 1 else next(csv.reader([given], skipinitialspace=True), [])
    if len(parts) != count:
        raise UsageError(
            f"{given!r} is no key of {spec.backfill}",
            found=f"{len(parts)} parts",
            fix=f"give {count}: {','.join(p.column for p in spec.key)}",
        )
    if columns is None:
        return tuple(int(p) if p.lstrip("-").isdecimal() else p for p in parts)
    return tuple(c.typed(p) for c, p in zip(columns, parts, strict=True))
