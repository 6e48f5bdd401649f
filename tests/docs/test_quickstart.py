"""docs/quickstart.md does what it says: its commands are run in order, what it shows is printed."""

import os
import re
import subprocess
import sys

from pathlib import Path

PAGE = (Path(__file__).parents[2] / "docs" / "quickstart.md").read_text(encoding="utf-8")
RUN_ID = re.compile(r"\b\d{6}-[0-9a-f]{8}\b")
MARK = "=== end of command "


def typed():
    """(command, lines shown under it) over all console blocks; [] where nothing is shown."""
    found = []
    for block in re.findall(r"^```console\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            else:
                found[-1][1].append(line.rstrip())
    return found


class Shell:
    """One bash that keeps its folder and variables, as a person's does."""

    def __init__(self, folder):
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self.process = subprocess.Popen(
            ["bash"],
            cwd=folder,
            env={
                **os.environ,
                "PATH": path,
                "COLUMNS": "100",
                "NO_COLOR": "1",
                "LC_ALL": "C.UTF-8",
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def type(self, command):
        """Run one line; its exit code and what it printed."""
        self.process.stdin.write(f'{command} </dev/null\necho "{MARK}$?"\n')
        self.process.stdin.flush()
        lines = []
        for line in self.process.stdout:
            text, mark, code = line.rstrip("\n").partition(MARK)
            if mark:
                return int(code), [*lines, *([text] if text else [])]
            lines.append(text.rstrip())
        raise AssertionError(f"the shell ended in: {command}")

    def close(self):
        self.process.communicate("exit\n", timeout=30)


def fits(shown, said):
    """Whether a line as shown, with its …, is the line as printed; blanks count as one."""
    words = re.escape(" ".join(shown.split())).replace("…", ".*")
    return re.fullmatch(words, " ".join(said.split())) is not None


def test_the_quickstart_runs_and_prints_what_it_shows(tmp_path):
    """Whoever follows it sees what it says."""
    shell, known = Shell(tmp_path), {}
    try:
        for command, shown in typed():
            code, said = shell.type(real(command, known))
            assert code == 0, f"{command}: exit {code}\n" + "\n".join(said)
            if shown:
                known |= dict(zip(ids(shown), ids(said), strict=False))
                compare(command, [real(line, known) for line in shown if line], said)
    finally:
        shell.close()


def test_a_run_is_named_before_it_is_used():
    """The page never asks for an id that it has not shown."""
    seen = set()
    for command, shown in typed():
        assert set(ids([command])) <= seen, command
        seen |= set(ids(shown))


def real(text, known):
    """A line of the page with the ids of the runs that were really made."""
    for told, made in known.items():
        text = text.replace(told, made)
    return text


def ids(lines):
    """The runs that are named, in order."""
    return list(dict.fromkeys(RUN_ID.findall("\n".join(lines))))


def compare(command, shown, said):
    """Line by line without empty ones; a line that is only … stands for any number of lines."""
    printed = iter([line for line in said if line])
    skipping = False
    for line in shown:
        if line.strip() == "…":
            skipping = True
            continue
        found = next((p for p in printed if fits(line, p) or not skipping), "(nothing more)")
        assert fits(line, found), f"$ {command}\nshown:   {line}\nprinted: {found}\n\n" + "\n".join(
            said
        )
        skipping = False
    assert skipping or next(printed, None) is None, f"$ {command} prints more than is shown"
