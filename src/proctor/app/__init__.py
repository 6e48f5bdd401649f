"""The one room that knows engine and adapters: configuration in, wired commands out."""

from proctor.app.facade import App
from proctor.app.options import RollbackOptions, RunOptions
from proctor.app.wiring import open_app as open  # noqa: A004 - reads `app.open(config)`
from proctor.engine.ensure import Ensured
from proctor.engine.kit import Stop
from proctor.engine.part import Part
from proctor.engine.prune import Forgetting
from proctor.engine.run import Ended
from proctor.ports import Clock

__all__ = [
    "App",
    "Clock",
    "Ended",
    "Ensured",
    "Forgetting",
    "Part",
    "RollbackOptions",
    "RunOptions",
    "Stop",
    "open",
]
