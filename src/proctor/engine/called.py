"""What is done around each call of an author's function, whatever its kind."""

from __future__ import annotations

import asyncio
import pickle

from collections.abc import Iterator
from typing import Any

from proctor.authoring import Declined
from proctor.core.answer import Answered
from proctor.errors import ProctorError
from proctor.model import Row


def halves(at: slice, spare: bytes) -> Iterator[tuple[slice, list[Row]]]:
    """Both halves of a group, with their rows as they were read."""
    rows: list[Row] = pickle.loads(spare)  # noqa: S301 - written by this object, a moment ago
    middle = len(rows) // 2
    yield slice(at.start, at.start + middle), rows[:middle]
    yield slice(at.start + middle, at.stop), rows[middle:]


def kept(answer: Any) -> Answered:
    """An answer as it was at this moment, of whatever type: settling judges that."""
    if type(answer) is list:
        return [row.copy() if type(row) is dict else row for row in answer]
    same: Answered = answer.copy() if type(answer) is dict else answer
    return same


def pass_on_cancelling(error: BaseException) -> None:
    """Raise a cancellation that was meant for us; one inside the author's call is a failure."""
    task = asyncio.current_task()
    if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
        raise error


def told_apart(error: BaseException) -> BaseException:
    """Of several questions that were asked at once, the error that is not the row's."""
    if isinstance(error, BaseExceptionGroup):
        found, _ = error.split((ProctorError, Declined))
        return error if found is None else first(found)
    return error


def first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first error of a group."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
