"""What units emit, as people see it: each row under the unit that gives it, before and after."""

from __future__ import annotations

import contextlib

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from proctor.core.same import text_of
from proctor.engine.show import images, masked, previews, shown_key
from proctor.engine.site import Site
from proctor.engine.snapshot import Preview
from proctor.errors import TargetError, UsageError
from proctor.model import Image, Key, Page, Settled, Spec
from proctor.model.keytext import key_text

AT_ONCE = 1_000
"""Rows looked up in one question."""


async def emitted_previews(
    site: Site, page: Page, settled: Settled, spec: Spec, columns: Collection[str]
) -> tuple[tuple[Preview, ...], int]:
    """Each unit with the rows that it would write, and how many of these exist.

    A field stands here for a row of the target, and its value for all that the row holds.
    """
    rows = dict(zip(settled.index, settled.emitted, strict=True))
    there = await standing(site, spec, [key for given in rows.values() for key, _ in given])
    shown = []
    for i, preview in enumerate(previews(page, settled, spec, columns)):
        given = rows.get(i, ())
        names = [key_text(shown_key(key, spec.written)) for key, _ in given]
        before = [_line(images(there[k][1], spec)) if k in there else None for k, _ in given]
        after = [_line(_values(values, spec)) for _, values in given]
        shown.append(
            replace(
                preview,
                before=dict(zip(names, before, strict=True)),
                after=dict(zip(names, after, strict=True)),
            )
        )
    return tuple(shown), len(there)


def _values(values: Sequence[Any], spec: Spec) -> dict[str, str | None]:
    return masked(((n, text_of(v)) for n, v in zip(spec.writes, values, strict=True)), spec)


def _line(fields: Mapping[str, str | None]) -> str:
    return ", ".join(f"{n}={'null' if v is None else v}" for n, v in fields.items())


async def standing(
    site: Site, spec: Spec, keys: Sequence[Key]
) -> dict[Key, tuple[Key, tuple[Image, ...]]]:
    """Those rows of the target that exist, by the key that was asked: stored key and fields.

    The table may spell a key otherwise: 7 as a text, a UUID in small letters.
    """
    found: dict[Key, tuple[Key, tuple[Image, ...]]] = {}
    for at in range(0, len(keys), AT_ONCE):
        some = keys[at : at + AT_ONCE]
        try:
            there = await _there(site, spec, some)
        except (UsageError, TargetError):  # one of them is no key of this table
            found |= await _one_by_one(site, spec, some)
            continue
        found |= {key: (key, image) for key, image in there.items()}
        if there.keys() - set(some):
            found |= await _one_by_one(site, spec, [k for k in some if k not in there])
    return found


async def _one_by_one(
    site: Site, spec: Spec, keys: Sequence[Key]
) -> dict[Key, tuple[Key, tuple[Image, ...]]]:
    """The same for keys of which the answer does not tell which row is whose."""
    found = {}
    for key in keys:
        with contextlib.suppress(UsageError, TargetError):
            for stored in (await _there(site, spec, [key])).items():
                found[key] = stored
    return found


async def _there(site: Site, spec: Spec, keys: Sequence[Key]) -> dict[Key, tuple[Image, ...]]:
    page = await site.store.read_keys(spec.written, keys)
    pairs = zip(page.keys, page.images, strict=True)
    return {key: image for key, image in pairs if image is not None}
