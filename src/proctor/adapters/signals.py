"""Throttle signals of the user's own: a number from HTTP, from Python, or from any other question.

A signal is asked about once a second beside the run's heartbeat, and never holds it up. There are
three kinds of silence: one that never answered is *not available* and is not watched; one that
fell silent makes the run wait, since nobody knows how the load is; one that stays silent has
*vanished*, and the run stops.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
import math
import threading
import traceback
import urllib.error
import urllib.request

from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, TypeVar

from proctor.errors import ConfigError, ProctorError
from proctor.model import Signal
from proctor.ports import Clock

T = TypeVar("T")

TIMEOUT: Final = 2.0
"""Seconds within which one answer must come."""
PATIENCE: Final = 30.0
"""Seconds of silence after which a signal that used to answer has vanished."""
LINGER: Final = 0.05
"""Seconds that the heartbeat waits for an answer, once there was one."""
GRACE: Final = 1.0
"""Seconds beyond its time for a first answer: a busy process learns late that it is over."""
LARGEST: Final = 1 << 20
"""Bytes of an HTTP answer that are read."""


class NoAnswer(Exception):
    """A question had no usable answer; the text says why, without values."""


class Watched:
    """One signal: call it for its latest value. `ask` gives a number or raises."""

    def __init__(
        self,
        name: str,
        ask: Callable[[], Awaitable[Any]],
        *,
        limit: float,
        clock: Clock,
        unit: str = "",
        timeout: float = TIMEOUT,
        patience: float = PATIENCE,
    ) -> None:
        """`timeout` and `patience` are in seconds, `limit` in the signal's unit."""
        self.name = name
        self._ask = ask
        self._limit = limit
        self._clock = clock
        self._unit = unit
        self._timeout = timeout
        self._patience = patience
        self._asking: asyncio.Task[float] | None = None
        self._value: float | None = None
        self._silence = ""
        self._silent_since = 0.0

    async def __call__(self) -> Signal:
        """The signal now; its value is None when it is not available or has vanished."""
        self._asking = self._asking or asyncio.create_task(self._question())
        known = self._value is not None
        # The first answer is worth waiting for: it decides whether the signal exists at all.
        await asyncio.wait({self._asking}, timeout=LINGER if known else self._timeout + GRACE)
        if self._asking.done():
            self._hear(self._asking)
            self._asking = None
        return self._signal()

    async def _question(self) -> float:
        try:
            async with asyncio.timeout(self._timeout):
                return _number(await self._ask())
        except TimeoutError:
            raise NoAnswer(f"no answer within {self._timeout:g} s") from None

    def _hear(self, answered: asyncio.Task[float]) -> None:
        error = answered.exception()
        if error is None:
            self._value, self._silence = answered.result(), ""
            return
        if not self._silence:
            self._silent_since = self._clock.monotonic()
        self._silence = str(error) if isinstance(error, NoAnswer) else _raised(error)

    def _signal(self) -> Signal:
        if self._value is None:
            return self._made(None, f"not available: {self._silence}")
        if not self._silence:
            return self._made(self._value, "")
        silent = self._clock.monotonic() - self._silent_since
        why = f"{self._silence}, silent for {silent:.0f} s"
        if silent >= self._patience:
            return self._made(None, f"vanished: {why}")
        # Not knowing is treated as the limit: the run waits until it knows again.
        return self._made(self._limit, f"taken as full: {why}")

    def _made(self, value: float | None, why: str) -> Signal:
        return Signal(name=self.name, value=value, limit=self._limit, unit=self._unit, why=why)


def http_question(
    url: str,
    *,
    pick: str = "",
    headers: Mapping[str, str] | None = None,
    timeout: float = TIMEOUT,
) -> Callable[[], Awaitable[Any]]:
    """Ask a web address that answers JSON (or one number).

    pick: the path to the number, its parts with dots: `data.result.0.value.1`. Redirects are
    not followed: they would carry the headers, and the keys in them, elsewhere.
    Raises ConfigError if it is not an http or https address.
    """
    if not url.lower().startswith(("http://", "https://")):
        raise ConfigError(
            "the address of a throttle signal is not one of the web",
            found=f"it begins with {url.partition(':')[0]}:" if ":" in url else "no scheme",
            fix="write http://… or https://…",
        )
    request = urllib.request.Request(url, headers=dict(headers or {}))  # noqa: S310 - see above
    fetch = _OneAtATime(lambda: _fetch(request, timeout))

    async def ask() -> Any:
        return _picked(await fetch(), pick)

    return ask


def python_question(function: str | Callable[[], Any]) -> Callable[[], Awaitable[Any]]:
    """Ask a Python function without parameters, async or not; a text is `module:function`.

    A function that blocks does so in a thread of its own, and is not called again until it has
    returned. Raises ConfigError if there is no such function.
    """
    found = _loaded(function) if isinstance(function, str) else function
    if inspect.iscoroutinefunction(found):
        return found
    return _OneAtATime(found)


class _OneAtATime:
    """Run a blocking function in a daemon thread, so that neither exit nor heartbeat waits."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self._function = function
        self._busy = threading.Lock()

    async def __call__(self) -> Any:
        if not self._busy.acquire(blocking=False):
            raise NoAnswer("the last question is still without an answer")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()

        def tell(how: Callable[[Any], None], what: Any) -> None:
            if not answer.done():
                how(what)

        def work() -> None:
            try:
                try:
                    told = (answer.set_result, self._function())
                finally:
                    self._busy.release()
            except BaseException as error:  # noqa: BLE001 - it belongs to whoever asked
                told = (answer.set_exception, error)
            if not loop.is_closed():
                loop.call_soon_threadsafe(tell, *told)

        threading.Thread(target=work, name="proctor-signal", daemon=True).start()
        return await answer


def _loaded(place: str) -> Callable[[], Any]:
    module, _, path = place.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in path.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(
            f"the throttle signal {place} cannot be loaded",
            found=str(error),
            fix="write module:function, as Python would import it from the project's folder",
        ) from error
    if not callable(found):
        raise ConfigError(
            f"the throttle signal {place} is not a function",
            found=f"a {type(found).__name__}",
            fix="name a function without parameters that returns a number",
        )
    return found  # type: ignore[no-any-return] # a callable of the user's, untyped


def _fetch(request: urllib.request.Request, timeout: float) -> Any:
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler,
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPErrorProcessor,
    ):
        opener.add_handler(handler())
    try:
        with opener.open(request, timeout=timeout) as reply:
            body = reply.read(LARGEST + 1)
    except urllib.error.HTTPError as error:
        with error:
            raise NoAnswer(f"the address answers with status {error.code}") from None
    except urllib.error.URLError as error:
        raise NoAnswer(f"the address cannot be reached: {_plainly(error.reason)}") from None
    except OSError as error:
        raise NoAnswer(f"the address cannot be reached: {_plainly(error)}") from None
    if len(body) > LARGEST:
        raise NoAnswer("the answer is larger than 1 MiB")
    try:
        return json.loads(body)
    except ValueError:
        raise NoAnswer("the answer is not JSON") from None


def _plainly(reason: object) -> str:
    """The system's own words; a text from elsewhere may hold the address."""
    return (isinstance(reason, OSError) and reason.strerror) or type(reason).__name__


def _picked(answer: Any, pick: str) -> Any:
    for part in filter(None, pick.split(".")):
        try:
            answer = answer[int(part)] if isinstance(answer, list) else answer[part]
        except (KeyError, IndexError, TypeError, ValueError):
            raise NoAnswer(f"the answer has nothing at {pick} (looking for {part})") from None
    return answer


def _number(answer: object) -> float:
    """A finite number; metrics servers send them as text, too."""
    if isinstance(answer, int | float | Decimal | str) and not isinstance(answer, bool):
        try:
            number = float(answer)
        except ValueError:
            raise NoAnswer("the answer is a text, not a number") from None
        if math.isfinite(number):
            return number
        raise NoAnswer("the answer is not a finite number")
    raise NoAnswer(f"the answer is {_article(type(answer).__name__)}, not a number")


def _article(name: str) -> str:
    return "nothing" if name == "NoneType" else f"a {name}"


def _raised(error: BaseException) -> str:
    """Our own errors in their words; of others which and where, for their text may be anything."""
    if isinstance(error, ProctorError):
        return f"{error.what}: {error.found}" if error.found else error.what
    frames = traceback.extract_tb(error.__traceback__)
    where = f" in {Path(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else ""
    return f"it raised {type(error).__name__}{where}"


__all__ = ["NoAnswer", "Watched", "http_question", "python_question"]
