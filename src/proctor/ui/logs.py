"""Logs: the engine's events as lines on stderr or in a file, each without secrets.

The engine speaks to the standard logger `proctor`; structlog only gives the lines their form.
"""

from __future__ import annotations

import contextlib
import logging
import sys

from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from proctor.errors import ConfigError
from proctor.ui import documents, faults

if TYPE_CHECKING:
    from structlog.typing import Processor

    from proctor.ui.options import Wish

LOGGER: Final = "proctor"


@contextlib.contextmanager
def kept(wish: Wish, file: Path | None) -> Iterator[None]:
    """While the block runs, log to stderr as the command line asked, and to the file as JSON.

    Raises ConfigError when the file cannot be written.
    """
    logger = logging.getLogger(LOGGER)
    before = logger.level, logger.propagate
    with contextlib.ExitStack() as stack:
        strangers = _Stderr()
        strangers.setFormatter(_Masked(wish))
        logging.getLogger().addHandler(strangers)
        stack.callback(logging.getLogger().removeHandler, strangers)
        if wish.log == "off" and file is None:
            yield
            return
        for handler in _handlers(wish, file):
            logger.addHandler(handler)
            stack.callback(handler.close)
            stack.callback(logger.removeHandler, handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False
        try:
            yield
        finally:
            logger.setLevel(before[0])
            logger.propagate = before[1]


def _handlers(wish: Wish, file: Path | None) -> Iterator[logging.Handler]:
    if wish.log != "off":
        yield _dressed(_Stderr(), wish, plain=wish.log == "json")
    if file is not None:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            handler = _File(file, encoding="utf-8")
        except OSError as error:
            raise ConfigError(
                "the log file cannot be written",
                found=f"{file}: {error.strerror}",
                fix="mend log_file under [run] in proctor.toml",
            ) from error
        yield _dressed(handler, wish, plain=True)


class _Masked(logging.Formatter):
    """For what libraries and the event loop complain of: without this it would be shown as is."""

    def __init__(self, wish: Wish) -> None:
        super().__init__("%(levelname)s %(name)s: %(message)s")
        self._wish = wish

    def format(self, record: logging.LogRecord) -> str:
        return faults.redacted(super().format(record), self._wish.redact)


class _Discreet(logging.Handler):
    """Says that a line could not be written; the standard way shows all that is in it."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the base's name
        kind = getattr(sys.exc_info()[0], "__name__", "an error")
        sys.stderr.write(f"a log line of {record.name} could not be written: {kind}\n")


class _File(_Discreet, logging.FileHandler):
    """The log file."""


class _Stderr(_Discreet, logging.StreamHandler[Any]):
    """Whatever stderr is at the moment: the live view puts its own in front of it."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> Any:
        return sys.stderr

    @stream.setter
    def stream(self, _value: Any) -> None:
        """The stream is never anybody else's."""


def _dressed(handler: logging.Handler, wish: Wish, *, plain: bool) -> logging.Handler:
    import structlog

    def unpacked(_logger: Any, _name: str, line: MutableMapping[str, Any]) -> Any:
        """The event's own data as fields of the line."""
        for key, value in getattr(line["_record"], "proctor", {}).items():
            line[key] = documents.plain(value)
        return line

    def harmless(_logger: Any, _name: str, line: MutableMapping[str, Any]) -> Any:
        return {
            _redacted(key, wish): value if key.startswith("_") else _redacted(value, wish)
            for key, value in line.items()
        }

    last: Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if plain
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[
                structlog.stdlib.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                unpacked,
            ],
            processors=[
                structlog.processors.format_exc_info,
                harmless,
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                last,
            ],
        )
    )
    return handler


def _redacted(value: Any, wish: Wish) -> Any:
    if isinstance(value, str):
        return faults.redacted(value, wish.redact)
    if isinstance(value, dict):
        return {_redacted(key, wish): _redacted(inner, wish) for key, inner in value.items()}
    if isinstance(value, list):
        return [_redacted(inner, wish) for inner in value]
    return value
