"""What a feature flag's adapter must do, whatever keeps the flag.

    class TestMyTool(RampConformance):
        @pytest.fixture
        async def world(self, tmp_path):
            yield MyWorld(tmp_path)       # see `FlagWorld` for what it must do

`RampConformance` is for tools that let a part of the readers in and can be asked about them,
`SwitchConformance` for those that are on or off. `LyingConformance` goes beside either where a
tool can be made to lie. The flag is at 0 when a test begins.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Final, Protocol

import pytest

from proctor.errors import FlagFault, FlagMoved
from proctor.ports import Flag

STEPS: Final = (5, 25, 50, 100)
READERS: Final = 4_000
POINTS: Final = 0.02
"""By how much the observed share may be another than the step: of a hash, not of chance."""


class FlagWorld(Protocol):
    """One flag in its tool, at 0, seen by adapters and by somebody else."""

    async def flag(self) -> Flag:
        """One more adapter on it, with connections of its own; the world closes it."""

    async def meddle(self, percent: int) -> None:
        """Write it as somebody else does, without Proctor."""


class LyingWorld(FlagWorld, Protocol):
    """A world whose tool can be made to lie."""

    async def lie(self) -> None:
        """From now on writes are said to be done, and are not."""


class FlagConformance:
    """What holds for every kind."""

    @pytest.fixture
    async def flag(self, world: Any) -> Flag:
        """An adapter on the world's flag."""
        flag: Flag = await world.flag()
        return flag

    async def test_what_is_set_is_read_by_another(self, world: FlagWorld, flag: Flag) -> None:
        """A new process goes on where one was killed."""
        before = await flag.read()
        assert before.percent == 0
        set_to = await flag.set(100, expect=before, reason="ready", once="r1-100")
        assert set_to.percent == 100
        other = await world.flag()
        assert await other.read() == set_to

    async def test_what_another_wrote_is_not_overwritten(
        self, world: FlagWorld, flag: Flag
    ) -> None:
        """Somebody switched it off by hand: they had a reason."""
        first = await flag.set(100, expect=await flag.read(), reason="ready", once="r1-100")
        await world.meddle(0)
        with pytest.raises(FlagMoved, match="somebody else"):
            await flag.set(100, expect=first, reason="ready", once="r1-again")
        assert (await flag.read()).percent == 0

    async def test_a_second_try_finds_the_first(self, world: FlagWorld, flag: Flag) -> None:
        """A process was killed after the write and before it was on record."""
        before = await flag.read()
        first = await flag.set(100, expect=before, reason="ready", once="r1-100")
        other = await world.flag()
        assert await other.set(100, expect=before, reason="ready", once="r1-100") == first

    async def test_it_is_put_back_as_it_was(self, flag: Flag) -> None:
        """To the state that was read first, all that the tool keeps of it."""
        before = await flag.read()
        await flag.set(100, expect=before, reason="ready", once="r1-100")
        back = await flag.restore(before, reason="harm", once="r1-back")
        assert (back.percent, back.raw) == (before.percent, before.raw)
        assert await flag.read() == back

    async def test_it_is_put_back_whatever_it_is_now(self, world: FlagWorld, flag: Flag) -> None:
        """Stepping back is for harm: it asks nobody's leave."""
        before = await flag.read()
        await flag.set(100, expect=before, reason="ready", once="r1-100")
        await world.meddle(0)
        await world.meddle(100)
        back = await flag.restore(before, reason="harm", once="r1-back")
        assert back.percent == 0

    @pytest.mark.parametrize("percent", [-1, 101])
    async def test_no_share_is_beyond_all_readers(self, flag: Flag, percent: int) -> None:
        """A slip in a ramp is told before anything is written."""
        before = await flag.read()
        with pytest.raises(FlagFault, match="cannot be set so"):
            await flag.set(percent, expect=before, reason="slip", once="r1")
        assert await flag.read() == before


class RampConformance(FlagConformance):
    """What holds for tools that let in a part of the readers."""

    async def test_each_step_is_what_readers_see(self, flag: Flag) -> None:
        """Within two points of each step, and whoever is in stays in."""
        assert flag.powers.percent
        assert flag.powers.sticky
        assert flag.powers.observable
        readers, state = await flag.readers(READERS), await flag.read()
        assert not any(await flag.observe(readers))
        cohorts: list[set[str]] = []
        for step in STEPS:
            state = await flag.set(step, expect=state, reason="ramp", once=f"r1-{step}")
            seen = await flag.observe(readers)
            cohorts.append({one for one, yes in zip(readers, seen, strict=True) if yes})
            assert abs(len(cohorts[-1]) / len(readers) - step / 100) <= POINTS
        assert all(fewer < more for fewer, more in pairwise(cohorts))

    async def test_a_step_back_shows_at_once_and_the_same_come_back(self, flag: Flag) -> None:
        """To 0 for everybody; and up again it is the same readers as before."""
        readers = await flag.readers(READERS)
        state = await flag.set(25, expect=await flag.read(), reason="ramp", once="r1-25")
        first = await flag.observe(readers)
        state = await flag.set(0, expect=state, reason="harm", once="r1-0")
        assert not any(await flag.observe(readers))
        state = await flag.set(25, expect=state, reason="mended", once="r1-25-again")
        assert await flag.observe(readers) == first
        await flag.set(5, expect=state, reason="harm", once="r1-5")
        fewer = await flag.observe(readers)
        assert all(was for was, yes in zip(first, fewer, strict=True) if yes)


class SwitchConformance(FlagConformance):
    """What holds for tools that only know on and off."""

    async def test_a_part_of_the_readers_is_refused(self, flag: Flag) -> None:
        """It says so before it writes: half a switch would be all or nobody."""
        assert not flag.powers.percent
        before = await flag.read()
        with pytest.raises(FlagFault, match="is on or off"):
            await flag.set(5, expect=before, reason="ramp", once="r1-5")
        assert await flag.read() == before


class LyingConformance:
    """What holds where a tool says that it wrote, and did not."""

    async def test_a_tool_that_lies_is_found_out(self, world: LyingWorld) -> None:
        """No step begins to hold before what was written is read back."""
        flag = await world.flag()
        before = await flag.read()
        await world.lie()
        with pytest.raises(FlagFault, match="does not read as it was written"):
            await flag.set(100, expect=before, reason="ready", once="r1-100")

    async def test_a_lie_while_stepping_back_is_found_out(self, world: LyingWorld) -> None:
        """Nobody may believe that readers are safe who are not."""
        flag = await world.flag()
        before = await flag.read()
        await flag.set(100, expect=before, reason="ready", once="r1-100")
        await world.lie()
        with pytest.raises(FlagFault, match="does not read as it was written"):
            await flag.restore(before, reason="harm", once="r1-back")


__all__ = [
    "FlagConformance",
    "FlagWorld",
    "LyingConformance",
    "LyingWorld",
    "RampConformance",
    "SwitchConformance",
]
