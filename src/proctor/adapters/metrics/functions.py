"""Figures that a Python function of the user's gives, in a thread that nobody waits for."""

from __future__ import annotations

import asyncio
import inspect

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from proctor.adapters.metrics.numbers import number, unmeasured
from proctor.adapters.signals import NoAnswer, python_question
from proctor.model import Figures, PythonFigures


class Functions:
    """Asks functions, each in a thread of its own and never twice at a time.

    An async one gets a loop of its own there: one that blocks, or does not let itself be
    cancelled, then holds nothing up but itself.
    """

    def __init__(self) -> None:
        self._known: dict[Callable[[], Any], Callable[[], Awaitable[Any]]] = {}

    async def ask(self, source: PythonFigures) -> Figures:
        """Its number as `value`, or its numbers by name."""
        ask = self._known.get(source.call)
        if ask is None:
            ask = self._known[source.call] = python_question(_safely(source.call))
        try:
            raised, said = await ask()
        except NoAnswer as error:
            raise unmeasured("is still busy", str(error)) from None
        if raised:
            raise unmeasured("raised an error", raised, "call the function by itself and see")
        if not isinstance(said, Mapping):
            return {"value": number("value", said)}
        if not said or not all(isinstance(name, str) and name for name in said):
            raise unmeasured("gave no numbers by name", "an empty mapping, or names that are none")
        return {name: number(name, value) for name, value in said.items()}


def _safely(call: Callable[[], Any]) -> Callable[[], tuple[str, Any]]:
    """What it raised by its class, which holds no value of a row, or what it gave."""

    def work() -> tuple[str, Any]:
        try:
            said = call()
            return "", asyncio.run(_awaited(said)) if inspect.isawaitable(said) else said
        except BaseException as error:  # noqa: BLE001 - nothing of the user's may end the rollout
            return type(error).__name__, None

    return work


async def _awaited(said: Awaitable[Any]) -> Any:
    return await said
