"""What TAB offers: names of backfills, environments and runs. A fault offers nothing."""

from __future__ import annotations

import contextlib

from typing import Final

from proctor.ui.options import Wish

# A shell that is completing must not show errors; the command itself will say them.
_quietly: Final = contextlib.suppress(Exception)


def environments(wish: Wish, typed: str) -> list[str]:
    """Environments of proctor.toml."""
    with _quietly:
        from proctor.config import load

        return [name for name in load(wish.config).envs if name.startswith(typed)]
    return []


def backfills(wish: Wish, typed: str) -> list[str]:
    """Backfills of the modules that proctor.toml names; this imports them."""
    with _quietly:
        from proctor import authoring
        from proctor.config import load

        config = load(wish.config)
        known = authoring.load(config.backfills, config.root)
        return sorted(name for name in known if name.startswith(typed))
    return []


def runs(wish: Wish, typed: str) -> list[str]:
    """Runs on record in the environment, newest first."""
    with _quietly:
        from proctor.ui.session import with_app

        seen = with_app(wish, lambda app: app.status())
        return [s.run.id for s in seen if s.run.id.startswith(typed)]
    return []
