"""From a flag of proctor.toml to one that can be written, and to what doctor says of it."""

from __future__ import annotations

from proctor.config import Config
from proctor.engine.snapshot import Finding
from proctor.errors import ProctorError, UsageError
from proctor.model import FlagPowers
from proctor.ports import Flag


def open_flag(config: Config, name: str, *, rollout: str = "") -> Flag:
    """A flag by its section's name; nothing is asked yet, and whoever opens it closes it.

    rollout: an id that commands are told. Raises UsageError where there is no such section,
    ConfigError where a variable or a library is missing.
    """
    from proctor.adapters.flags import open_flag as opened

    if name not in config.flags:
        known = ", ".join(config.flags)
        raise UsageError(
            f"there is no flag {name} in {config.path.name}",
            found=f"it has: {known}" if known else "it has none",
            fix=f'add [flags.{name}] with kind = "sql", or another',
        )
    return opened(config.flags[name], rollout=rollout, redact=config.redact)


async def flag_findings(config: Config) -> list[Finding]:
    """What each flag's tool says of it; nothing is written."""
    return [await _finding(config, name) for name in config.flags]


async def _finding(config: Config, name: str) -> Finding:
    subject, kind = f"flag {name}", config.flags.kind(name)
    try:
        flag = open_flag(config, name)
        try:
            state = await flag.read()
        finally:
            await flag.aclose()
    except ProctorError as error:
        detail = f"{error.what}: {error.found}" if error.found else error.what
        return Finding(subject=subject, ok=False, detail=detail, fix=error.fix)
    words = [f"{kind}; {state.percent} percent of readers let in", *_weaknesses(flag.powers)]
    return Finding(subject=subject, ok=True, detail="; ".join(words))


def _weaknesses(powers: FlagPowers) -> list[str]:
    """What its tool cannot do."""
    told = {
        "on or off only": not powers.percent,
        "readers change as the share grows": not powers.sticky,
        "takes effect when the application is deployed or started again": powers.needs_redeploy,
        "what readers see cannot be asked": not powers.observable,
    }
    return [words for words, holds in told.items() if holds]


__all__ = ["flag_findings", "open_flag"]
