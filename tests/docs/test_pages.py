"""The pages hold together: links lead somewhere, no machine's paths, every public name is told."""

import re
import subprocess

from pathlib import Path

import pytest

import proctor

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *ROOT.glob("examples/*/*.md")])
TEXT = {page: page.read_text(encoding="utf-8") for page in PAGES}
LINK = re.compile(r"(?<!!)\[[^\]]*\]\((?P<to>[^)\s]+)\)")
FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def named(page):
    return str(page.relative_to(ROOT))


def tracked():
    """Every text file that git holds, or would hold after the next `git add`."""
    told = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    ).stdout
    return [ROOT / name for name in told.decode().split("\0") if name]


def anchor(heading):
    """A heading as a link names it."""
    return re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower()).strip().replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_link_leads_somewhere(page):
    """To a file that is there, and to a heading that is in it."""
    dead = []
    for link in LINK.finditer(FENCED.sub("", TEXT[page])):
        to, _, part = link["to"].partition("#")
        if to.startswith(("https://", "http://", "mailto:")):
            continue
        target = (page.parent / to).resolve() if to else page
        headings = re.findall(r"^#+ (.+)$", TEXT.get(target, ""), flags=re.MULTILINE)
        if not target.exists() or (part and part not in map(anchor, headings)):
            dead.append(link["to"])
    assert dead == []


def test_no_file_names_a_path_of_somebodys_machine():
    """What works only where it was written does not belong in the tree."""
    path = re.compile(r"(?<![A-Za-z0-9_./-])/(?:work|farm|root|home/[a-z]+|Users/[a-z]+)/")
    found = []
    for file in tracked():
        try:
            lines = file.read_text(encoding="utf-8").splitlines()
        except (UnicodeDecodeError, FileNotFoundError):
            continue  # not text, or deleted and not committed yet
        found += [f"{named(file)}:{n}" for n, line in enumerate(lines, 1) if path.search(line)]
    assert found == []


@pytest.mark.parametrize("name", [n for n in proctor.__all__ if n != "__version__"])
def test_every_public_name_is_told(name):
    """What one may import stands on the page about authoring."""
    assert re.search(rf"`{name}[`(]", TEXT[ROOT / "docs" / "authoring.md"])


def test_the_changelog_and_the_package_name_the_same_version():
    """The newest entry is the version that is installed."""
    newest = re.search(r"^## (\d+\.\d+\.\d+)", TEXT[ROOT / "CHANGELOG.md"], re.MULTILINE)
    assert newest[1] == proctor.__version__


def test_the_readme_names_its_two_commands():
    """A stranger finds them without reading on."""
    top = TEXT[ROOT / "README.md"][:2500]
    assert "make demo" in top
    assert "make test" in top


def test_every_test_that_can_take_longer_is_run_by_a_target():
    """What the variable lengthens lies where `make test-long` looks, and the README names it."""
    long = "PROCTOR" + "_LONG"  # this file does not count
    asking = [f for f in ROOT.glob("tests/**/*.py") if long in f.read_text(encoding="utf-8")]
    recipe = re.search(
        rf"^test-long:.*\n\t{long}=1 .* pytest .*? (tests/.*) \$\(ARGS\)",
        (ROOT / "Makefile").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    assert len(asking) >= 4
    places = [ROOT / place for place in recipe[1].split()]
    assert all(any(f.is_relative_to(place) for place in places) for f in asking)
    assert "make test-long" in TEXT[ROOT / "README.md"].partition("For those who change it")[2]


@pytest.mark.parametrize(
    "promise", re.findall(r"^\| (P\d+) \|", TEXT[ROOT / "README.md"], re.MULTILINE)
)
def test_every_promise_is_named_by_a_test(promise):
    """A promise is never an intention: some test says in its docstring that it holds it."""
    tests = [file.read_text(encoding="utf-8") for file in ROOT.glob("tests/**/test_*.py")]
    assert any(re.search(rf'""".*\b{promise}\b', text) for text in tests)
