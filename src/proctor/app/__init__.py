"""The one room that knows engine and adapters: configuration in, wired commands out.

Each name is imported when it is first used: a command waits for no other's engine.
"""

import importlib

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from proctor.app.facade import App
    from proctor.app.options import RollbackOptions, RunOptions
    from proctor.app.wiring import open_app as open  # noqa: A004 - reads `app.open(config)`
    from proctor.engine.ensure import Ensured
    from proctor.engine.kit import Stop
    from proctor.engine.part import Part
    from proctor.engine.prune import Forgetting
    from proctor.engine.run import Ended

__all__ = [
    "App",
    "Ended",
    "Ensured",
    "Forgetting",
    "Part",
    "RollbackOptions",
    "RunOptions",
    "Stop",
    "open",
]
_HOMES: Final = {
    "App": "app.facade",
    "Ended": "engine.run",
    "Ensured": "engine.ensure",
    "Forgetting": "engine.prune",
    "Part": "engine.part",
    "RollbackOptions": "app.options",
    "RunOptions": "app.options",
    "Stop": "engine.kit",
    "open": "app.wiring",
}


def __getattr__(name: str) -> object:
    """Import the module that has a public name when the name is first used."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = importlib.import_module(f"proctor.{_HOMES[name]}")
    value: object = getattr(home, "open_app" if name == "open" else name)
    globals()[name] = value
    return value
