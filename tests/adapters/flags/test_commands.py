"""Commands and requests of the user's own: what they are told, and how they may fail."""

import asyncio
import json
import os
import sys

import pytest

from flagworlds import KEY, HttpWorld, ShellWorld
from proctor.errors import ConfigError, FlagFault
from proctor.model import FlagRequest, FlagState


def python(code):
    return (sys.executable, "-c", code)


async def test_a_command_is_told_by_variables_and_by_no_shell(tmp_path):
    """Whatever stands in a reason runs nowhere."""
    async with ShellWorld(tmp_path) as world:
        flag = await world.flag(rollout="r7")
        reason = "x; touch pwned $(touch pwned) `touch pwned`"
        await flag.set(5, expect=await flag.read(), reason=reason, once="r7-5")
        assert world.state()["heard"] == {
            "FLAG": KEY,
            "PERCENT": "5",
            "REASON": reason,
            "ROLLOUT_ID": "r7",
            "IDEMPOTENCY_KEY": "r7-5",
        }
        assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize(
    ("told", "percent"),
    [("25\n", 25), ("on", 100), ("FALSE", 0), ('{"percent": 7}', 7), ("true", 100), ("0", 0)],
)
async def test_what_a_read_command_may_print(tmp_path, told, percent):
    """A number, on or off, or JSON."""
    read = python(f"print({told!r})")
    async with ShellWorld(tmp_path, read=read) as world:
        assert (await (await world.flag()).read()).percent == percent


@pytest.mark.parametrize(
    ("code", "what", "found"),
    [
        ("print('5 percent')", "tells no percent", "5 percent"),
        ("print('101')", "tells no percent", "101"),
        ("print('5.5')", "tells no percent", "5.5"),
        ("print('NaN')", "tells no percent", "NaN"),
        ("pass", "tells no percent", "nothing"),
        ("import sys; sys.exit('the key k3y is old')", "failed", "exit code 1: the key *** is old"),
    ],
)
async def test_a_read_command_that_tells_nothing_is_a_fault(tmp_path, code, what, found):
    """P12: what it said is shown without secrets."""
    async with ShellWorld(tmp_path, read=python(code)) as world:
        flag = await world.flag(redact=lambda text: text.replace("k3y", "***"))
        with pytest.raises(FlagFault) as caught:
            await flag.read()
    assert what in caught.value.what
    assert caught.value.found == found


async def test_a_command_that_does_not_end_is_killed_with_its_children(tmp_path):
    """What it has started must not write later."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    code = (
        "import subprocess, sys;"
        f"file = open({str(pipe)!r}, 'w'); file.write('x'); file.flush();"
        "subprocess.run([sys.executable, '-c', 'import time; time.sleep(600)'],"
        " pass_fds=[file.fileno()])"
    )
    async with ShellWorld(tmp_path, read=python(code), timeout_s=5.0) as world:
        told = asyncio.to_thread(pipe.read_text)  # ends when the last process has closed it
        listening = asyncio.create_task(told)
        with pytest.raises(FlagFault, match="failed") as caught:
            await (await world.flag()).read()
        assert await listening == "x"
    assert caught.value.found == "no end within 5 s"


async def test_a_command_that_is_not_there_is_told(tmp_path):
    """By its name."""
    async with ShellWorld(tmp_path, read=("no-such-command",)) as world:
        with pytest.raises(FlagFault, match="cannot be started: no-such-command"):
            await (await world.flag()).read()


async def test_an_observe_command_answers_for_every_reader(tmp_path):
    """One line short is no answer."""
    code = "import sys; print('\\n'.join('on' for _ in list(sys.stdin)[1:]))"
    async with ShellWorld(tmp_path, observe=python(code)) as world:
        with pytest.raises(FlagFault, match="does not answer for every reader"):
            await (await world.flag()).observe(["a", "b", "c"])


async def test_without_an_observe_command_a_part_cannot_be_asked_about(tmp_path):
    """All or nobody is known from the percent."""
    async with ShellWorld(tmp_path, observe=()) as world:
        flag = await world.flag()
        assert not flag.powers.observable
        assert await flag.observe(["a", "b"]) == [False, False]
        await flag.set(5, expect=await flag.read(), reason="ramp", once="r1-5")
        with pytest.raises(FlagFault, match="cannot be asked who sees it"):
            await flag.observe(["a", "b"])


async def test_a_request_is_filled_in_and_carries_its_key(tmp_path):
    """A text that is one hole keeps its type; the same try has the same key."""
    async with HttpWorld() as world:
        flag = await world.flag()
        before = await flag.read()
        await flag.set(5, expect=before, reason='gate "ok" {once}', once="r1-5")
        method, path, headers, body = world.recorder.asked[-2]
        assert (method, path) == ("PUT", f"/flags/{KEY}")
        assert headers["idempotency-key"] == "r1-5"
        assert json.loads(body) == {"rollout": {"percent": 5, "why": 'gate "ok" {once}: 5 %'}}


async def test_values_in_an_address_are_spelled_as_addresses_are():
    """A reason cannot lead elsewhere."""
    async with HttpWorld() as world:
        at = world.recorder.url
        write = FlagRequest(
            method="POST",
            url=f"{at}/set/{{flag}}?on={{on}}&why={{reason}}",
            headers={"X-Why": "{reason}", "Authorization": "Bearer k3y"},
        )
        world.settings = type(world.settings)(
            name="a", flag="a/b", verify_s=0.0, write=write, read=world.settings.read
        )
        flag = await world.flag()
        with pytest.raises(FlagFault):
            await flag.restore(
                FlagState(percent=100, version="1"), reason="a&b=c/../d\r\nX: é", once="k\n1"
            )
        _, path, headers, _ = world.recorder.asked[1]  # behind the question whether it is back
        assert path == "/set/a%2Fb?on=true&why=a%26b%3Dc%2F..%2Fd%0D%0AX%3A%20%C3%A9"
        assert headers["x-why"] == "a&b=c/../d X: %C3%A9"
        assert headers["idempotency-key"] == "k 1"


@pytest.mark.parametrize(
    ("reply", "found", "fix"),
    [
        ((401, "no such key k3y"), "401: no such key ***", "token"),
        ((403, ""), "403", "right"),
        ((500, "x" * 5000), None, "look whether the tool is well"),
        ((302, "", {"Location": "http://127.0.0.1:1/"}), "302", ""),
        ((200, "<html>"), "an answer that is not JSON", ""),
        ((200, {"rollout": {"percent": "many"}}), "a str", "a number from 0 to 100"),
        ((200, {"rollout": {}}), "nothing", "a number from 0 to 100"),
        ((200, {"rollout": {"percent": 5.5}}), "a float", "a number from 0 to 100"),
    ],
)
async def test_what_a_tool_answers_is_told_without_secrets(reply, found, fix):
    """P12: and a redirect, which would carry the key elsewhere, is not followed."""
    async with HttpWorld() as world:
        world.recorder.answer = lambda *_: reply
        flag = await world.flag(redact=lambda text: text.replace("k3y", "***"))
        with pytest.raises(FlagFault) as caught:
            await flag.read()
    assert found is None or caught.value.found == found
    assert len(caught.value.found) < 320
    assert fix in caught.value.fix


async def test_a_path_that_is_none_is_told_before_anything_is_asked():
    """When the flag is opened."""
    async with HttpWorld() as world:
        read = FlagRequest(method="GET", url=world.recorder.url, pick="rollout.percent")
        world.settings = type(world.settings)(
            name="a", flag="a", write=world.settings.write, read=read
        )
        with pytest.raises(ConfigError, match="no JSON path"):
            await world.flag()
        assert world.recorder.asked == []
