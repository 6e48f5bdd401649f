"""From `[notify]` to whoever listens; and what the command `notify` does."""

from __future__ import annotations

from dataclasses import dataclass

from proctor.adapters.notify import AppriseNotifier
from proctor.app.facade import App
from proctor.config import Config
from proctor.core.notices import Rule
from proctor.core.windows import Window, parse_window
from proctor.engine.events import Events
from proctor.engine.notices import Notices, Place
from proctor.errors import ConfigError, UsageError
from proctor.model import PlaceSeen


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What came of a test message at one place."""

    place: str
    kind: str
    sent: bool
    why: str = ""


def listeners(config: Config, env: str, events: Events) -> Notices:
    """What tells the places that want to hear of this environment.

    Raises ConfigError for a silence that is no window; what is wrong with a place's address is
    its own affair, and said by `doctor` and in the log.
    """
    places: list[Place] = []
    for told in config.notify:
        silence = tuple(_silence(told.name, text) for text in told.silence)
        if told.envs and env not in told.envs:
            continue
        rule = Rule(
            place=told.name,
            events=told.events,
            least=told.severity,
            repeat_after=told.repeat_after,
            silence=silence,
        )
        url = told.url.reveal() if told.url is not None else ""
        place = Place(
            rule=rule, kind=told.kind, notifier=AppriseNotifier(url, redact=config.redact)
        )
        if told.fault is not None:
            place.wrong, place.fix = f"{told.fault.what}: {told.fault.found}", told.fault.fix
        places.append(place)
    return Notices(events=events, places=places, redact=config.redact)


def _silence(place: str, text: str) -> Window:
    try:
        return parse_window(text)
    except ConfigError as error:
        raise ConfigError(
            f"silence of {place} in [notify] holds no window", found=error.found, fix=error.fix
        ) from error


async def places_seen(app: App, only: str | None = None) -> list[PlaceSeen]:
    """Every place for this environment, or one, and whether anything could be sent there.

    Raises UsageError where there is none.
    """
    return _found(app, only).look(only)


async def try_places(app: App, only: str | None = None) -> list[Tried]:
    """Send a test message to every place, or to one; UsageError where there is none."""
    return [
        Tried(place=seen.name, kind=seen.kind, sent=not why, why=why)
        for seen, why in await _found(app, only).try_out(only)
    ]


def _found(app: App, only: str | None) -> Notices:
    notices = app.site.notices
    names = [place.rule.place for place in notices.places] if notices is not None else []
    if only is not None and only not in names and not any(n.startswith(f"{only}/") for n in names):
        raise UsageError(
            f"there is no place named {only}",
            found=f"for environment {app.env}: {', '.join(names) or 'none'}",
            fix="name one of [notify] in proctor.toml",
        )
    if notices is None or not names:
        raise UsageError(
            "there is nobody to tell",
            found=f"no [notify] in proctor.toml for environment {app.env}",
            fix='write [notify] with urls = ["${SLACK_URL}"]; see docs/notifications.md',
        )
    return notices


__all__ = ["Tried", "listeners", "places_seen", "try_places"]
