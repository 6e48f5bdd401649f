"""Env files and flagd files: what others wrote in them stays, and so do mode and links."""

import asyncio
import json
import stat

import pytest

from flagworlds import KEY, EnvFileWorld, FlagdWorld
from proctor.errors import FlagFault, FlagMoved


async def on(flag):
    return await flag.set(100, expect=await flag.read(), reason="ready", once="r1-100")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (f"A=1\n{KEY}=false\nB=2\n", f"A=1\n{KEY}=true\nB=2\n"),
        (f'{KEY} = "false"  # since May\n', f'{KEY} = "true"  # since May\n'),
        (f"export {KEY}='false'\r\nB=2\r\n", f"export {KEY}='true'\r\nB=2\r\n"),
        (f"# {KEY}=true\nX_{KEY}=true\n{KEY}=false", f"# {KEY}=true\nX_{KEY}=true\n{KEY}=true"),
        (f'PEM="a\n{KEY}=true\nb"\n{KEY}=false\n', f'PEM="a\n{KEY}=true\nb"\n{KEY}=true\n'),
        ("A=1", f"A=1\n{KEY}=true\n"),
        ("A=1\r\n", f"A=1\r\n{KEY}=true\r\n"),
        ("", f"{KEY}=true\n"),
    ],
)
async def test_one_value_of_an_env_file_changes_and_comes_back(tmp_path, before, after):
    """Comments, order, quotes, line ends and values over several lines stay, byte for byte."""
    async with EnvFileWorld(tmp_path) as world:
        world.path.write_bytes(before.encode())
        flag = await world.flag()
        first = await flag.read()
        assert first.percent == 0
        await on(flag)
        assert world.path.read_bytes().decode() == after
        await flag.restore(first, reason="harm", once="r1-back")
        back = before if KEY in before or before.endswith("\n") or not before else before + "\n"
        assert world.path.read_bytes().decode() == back


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (f"{KEY}=maybe\n", "neither on nor off"),
        (f"{KEY}=true\n{KEY}=false\n", "stands 2 times"),
    ],
)
async def test_an_env_file_that_can_be_read_two_ways_is_refused(tmp_path, text, what):
    """Which of them an application takes is its library's secret."""
    async with EnvFileWorld(tmp_path) as world:
        world.path.write_text(text)
        with pytest.raises(FlagFault, match=what):
            await (await world.flag()).read()


async def test_other_words_for_on_and_off(tmp_path):
    """As the application knows them; off may be nothing."""
    async with EnvFileWorld(tmp_path, f"{KEY}=\nB=2\n", on="1", off="") as world:
        flag = await world.flag()
        assert (await flag.read()).percent == 0
        await on(flag)
        assert world.path.read_text() == f"{KEY}=1\nB=2\n"


@pytest.mark.parametrize("kind", [EnvFileWorld, FlagdWorld])
async def test_mode_and_link_are_kept_and_nothing_is_left_over(tmp_path, kind):
    """Deployments link to the file of the day, and it is not everybody's to read."""
    async with kind(tmp_path) as world:
        real = tmp_path / "real"
        real.mkdir()
        moved = world.path.rename(real / world.path.name)
        world.path.symlink_to(moved)
        moved.chmod(0o640)
        await on(await world.flag())
        assert world.path.is_symlink()
        assert stat.S_IMODE(moved.stat().st_mode) == 0o640
        assert [*real.iterdir()] == [moved]


@pytest.mark.parametrize("kind", [EnvFileWorld, FlagdWorld])
async def test_a_file_that_is_not_there_is_told(tmp_path, kind):
    """Not made: then nobody would read it."""
    async with kind(tmp_path) as world:
        world.path.unlink()
        with pytest.raises(FlagFault, match="cannot be used"):
            await (await world.flag()).read()
        assert not world.path.exists()


@pytest.mark.parametrize("kind", [EnvFileWorld, FlagdWorld])
async def test_of_two_that_write_at_once_one_is_told(tmp_path, kind):
    """Both have read the same; the lock lets one write, and the other finds it written."""
    async with kind(tmp_path) as world:
        one, other = await world.flag(), await world.flag()
        state = await on(one)
        wishes = [
            f.set(0, expect=state, reason="harm", once=f"{n}") for n, f in enumerate((one, other))
        ]
        assert {s.percent for s in await asyncio.gather(*wishes)} == {0}
        await world.meddle(100)
        told = await asyncio.gather(
            *(f.set(0, expect=state, reason="x", once="y") for f in (one, other)),
            return_exceptions=True,
        )
        assert not any(isinstance(t, Exception) and not isinstance(t, FlagMoved) for t in told)


async def test_everything_else_in_a_flagd_file_stays(tmp_path):
    """Other flags, the flag's own metadata and the order of both."""
    async with FlagdWorld(tmp_path) as world:
        text = world.path.read_text()
        flag = await world.flag()
        first = await flag.read()
        await on(flag)
        assert list(world.flags()) == [KEY, "other"]
        assert world.flags()["other"] == world.other
        assert world.flags()[KEY]["metadata"] == {"owner": "search"}
        assert "é" in world.path.read_text()
        await flag.restore(first, reason="harm", once="r1-back")
        assert world.path.read_text() == text


async def test_at_zero_a_flagd_flag_says_off_to_applications_whose_default_is_true(tmp_path):
    """DISABLED would leave it to each application's code."""
    disabled = {"state": "DISABLED", "variants": {"on": True, "off": False}}
    async with FlagdWorld(tmp_path, {**disabled, "defaultVariant": "off"}) as world:
        flag = await world.flag()
        assert (await flag.read()).percent == 0
        state = await flag.set(5, expect=await flag.read(), reason="ramp", once="r1-5")
        await flag.set(0, expect=state, reason="harm", once="r1-0")
        entry = world.flags()[KEY]
        assert (entry["state"], entry["defaultVariant"]) == ("ENABLED", "off")


async def test_only_filled_readers_are_let_in_by_a_flagd_file(tmp_path):
    """Whoever lacks the attribute is out, also at 100 percent and without a key."""
    from openfeature.contrib.tools.flagd.core import FlagdCore
    from openfeature.evaluation_context import EvaluationContext

    async with FlagdWorld(tmp_path, only_filled="filled") as world:
        flag = await world.flag()
        state = await flag.set(50, expect=await flag.read(), reason="ramp", once="r1-50")
        assert (await flag.read()).percent == 50
        readers = await flag.readers(4_000)
        assert sum(await flag.observe(readers)) == pytest.approx(2_000, abs=80)
        for step in (50, 100):
            state = await flag.set(step, expect=state, reason="ramp", once=f"r1-{step}")
            core = FlagdCore()
            core.set_flags(world.path.read_text())
            contexts = [EvaluationContext(r, {"filled": False}) for r in readers]
            contexts += [EvaluationContext(r) for r in readers] + [EvaluationContext()]
            told = [core.resolve_boolean_value(KEY, True, c).value for c in contexts]
            assert not any(told)


async def test_the_rule_for_filled_rows_is_not_slipped_under_a_running_ramp(tmp_path):
    """It would take the new data away from readers who see it."""
    async with FlagdWorld(tmp_path) as world:
        flag = await world.flag()
        state = await flag.set(25, expect=await flag.read(), reason="ramp", once="r1-25")
        world.settings = type(world.settings)(
            name="aboutness", flag=KEY, path=world.path, only_filled="filled"
        )
        with pytest.raises(FlagFault, match="another rule than only_filled"):
            await (await world.flag()).set(50, expect=state, reason="ramp", once="r1-50")


@pytest.mark.parametrize(
    "targeting",
    [
        {"if": [{"ends_with": [{"var": "email"}, "@example.org"]}, "on", "off"]},
        {"fractional": [["off", 95], ["on", 5]]},
        {"fractional": [["on", 5], ["off", 5]]},
        {"fractional": [{"var": "email"}, ["on", 5], ["off", 95]]},
    ],
)
async def test_a_targeting_of_somebody_else_is_nobodys_to_guess(tmp_path, targeting):
    """It is not read as a share that it is not, and not overwritten."""
    async with FlagdWorld(tmp_path) as world:
        flag, flags = await world.flag(), world.flags()
        flags[KEY]["targeting"] = targeting
        world.write(flags)
        with pytest.raises(FlagFault, match="a targeting that Proctor did not write"):
            await flag.read()


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("{", "no flagd file"),
        ("[]", "no flagd file"),
        ('{"flags": {}}', "is not in flags.json"),
        (json.dumps({"flags": {KEY: {"variants": {"a": "x"}}}}), "no two variants"),
        (b"\xff", "not UTF-8"),
    ],
)
async def test_a_flagd_file_that_is_none_is_told(tmp_path, text, what):
    """With what it should look like."""
    async with FlagdWorld(tmp_path) as world:
        world.path.write_bytes(text if isinstance(text, bytes) else text.encode())
        with pytest.raises(FlagFault, match=what):
            await (await world.flag()).read()


async def test_a_file_that_its_clients_cannot_read_is_not_taken_for_off(tmp_path):
    """Nobody knows then what readers see."""
    async with FlagdWorld(tmp_path) as world:
        flag, flags = await world.flag(), world.flags()
        flags[KEY] = {"state": "SLEEPING", "variants": {"on": True}, "defaultVariant": "on"}
        world.write(flags)
        with pytest.raises(FlagFault, match="cannot be evaluated"):
            await flag.observe(["a"])
        world.write({})
        with pytest.raises(FlagFault, match="cannot be evaluated"):
            await flag.observe(["a"])
