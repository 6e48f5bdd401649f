"""Asks probes where no rollout is driven: what a metric that asks one would learn by now."""

from __future__ import annotations

from dataclasses import dataclass

from proctor.app.facade import App
from proctor.app.flagging import open_flag
from proctor.engine.rolling.rig import Answered
from proctor.engine.site import Site
from proctor.model import FlagState, Probe


@dataclass(frozen=True, slots=True, kw_only=True)
class Prober:
    """As a rollout asks; each flag is opened for one question."""

    app: App

    @property
    def site(self) -> Site:
        """Whose store answers SQL."""
        return self.app.site

    async def outside(self, probe: Probe, /) -> Answered:
        """Git, variables, HTTP, a command."""
        from proctor.adapters.probes import ask_outside

        ok, told, answer = await ask_outside(probe, self.app.config.root)
        return Answered(ok=ok, told=told, answer=answer)

    async def read(self, flag: str, /) -> FlagState:
        """What the flag's tool says of it."""
        opened = open_flag(self.app.config, flag)
        try:
            return await opened.read()
        finally:
            await opened.aclose()


__all__ = ["Prober"]
