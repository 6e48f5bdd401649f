"""Tells people through Apprise: Slack, mail, webhooks and whatever else has a URL there."""

from __future__ import annotations

import asyncio
import logging
import threading

from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from datetime import timedelta
from typing import Any, Final

from proctor.errors import ConfigError
from proctor.model import Severity

WITHIN: Final = timedelta(seconds=10)
"""The longest that a message may take."""
LONGEST: Final = 300
"""Characters of a reason: some services answer with whole pages."""
KINDS: Final = {Severity.INFO: "info", Severity.WARNING: "warning", Severity.CRITICAL: "failure"}
INSTALL: Final = "pip install 'proctor[notify]'"


class AppriseNotifier:
    """One address. What goes wrong there is a sentence, never an error.

    Sending blocks, so it is done in a thread of its own that nothing waits for: neither a
    service that hangs nor the end of the process.
    """

    def __init__(
        self, url: str, *, redact: Callable[[str], str] = str, within: timedelta = WITHIN
    ) -> None:
        """redact: takes secrets out of the reasons that are given, and out of what is sent."""
        self._url = url
        self._redact = redact
        self._within = within
        self._busy = False

    def fault(self) -> ConfigError | None:
        """Why nothing can ever be sent there, found out without sending; None if nothing is."""
        try:
            library = _library()
        except ConfigError as error:
            return error
        return None if _service(library, self._url) else _unknown(self._url)

    async def tell(self, title: str, text: str, /, *, severity: Severity) -> str:
        """See the port."""
        if self._busy:
            return "the message before is still on its way"
        sent: Future[str] = Future()
        words = (self._redact(title), self._redact(text), KINDS[severity])
        self._busy = True
        threading.Thread(target=self._send, args=(sent, *words), daemon=True).start()
        try:
            said = await asyncio.wait_for(asyncio.wrap_future(sent), self._within.total_seconds())
        except TimeoutError:
            return f"no answer within {self._within.total_seconds():g} s"
        said = " ".join(self._redact(said).split())
        return said if len(said) <= LONGEST else f"{said[: LONGEST - 1]}…"

    def _send(self, sent: Future[str], title: str, text: str, kind: str) -> None:
        try:
            said = _sent(self._url, title, text, kind)
        except ConfigError as error:
            said = str(error)
        except Exception as error:  # noqa: BLE001 - a hundred services, each with errors of its own
            said = f"{type(error).__name__}: {error}"
        self._busy = False
        try:
            sent.set_result(said)
        except InvalidStateError:
            return  # nobody waits any more


def _sent(url: str, title: str, text: str, kind: str) -> str:
    """Send it, in this thread; empty, or why it could not be sent."""
    library = _library()
    service = _service(library, url)
    if not service:
        return str(_unknown(url))
    senders = library.Apprise(asset=_manners(library))
    senders.add(service)
    result = senders.notify(
        body=text, title=title, notify_type=kind, body_format=library.NotifyFormat.TEXT
    )
    if result:
        return ""
    told = [str(entry.message) for entry in result.logs()]
    return "; ".join(told) or "the service did not take it"


def _library() -> Any:
    try:
        import apprise
    except ImportError:
        raise ConfigError(
            "notices are sent by Apprise", found="it is not installed", fix=INSTALL
        ) from None
    # Its words become ours, redacted; by itself Python would print them on stderr.
    logger = logging.getLogger("apprise")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
    return apprise


def _service(library: Any, url: str) -> Any:
    """What sends to this URL; None where Apprise knows none."""
    return library.Apprise.instantiate(url, asset=_manners(library), suppress_exceptions=True)


def _manners(library: Any) -> Any:
    """It calls itself Proctor, keeps nothing on disk, and says no secret in what it logs."""
    return library.AppriseAsset(
        app_id="Proctor",
        app_desc="Proctor",
        app_url="",
        secure_logging=True,
        storage_mode=library.PersistentStoreMode.MEMORY,
        async_mode=False,
    )


def _unknown(url: str) -> ConfigError:
    scheme = url.partition("://")[0] if "://" in url else ""
    return ConfigError(
        "this is no address that Apprise can send to",
        found=f"it begins with {scheme}://" if scheme.isalnum() else "a text without ://",
        fix="write it as its page shows: https://github.com/caronc/apprise/wiki",
    )


__all__ = ["AppriseNotifier"]
