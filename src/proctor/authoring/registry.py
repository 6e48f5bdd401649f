"""The backfills that exist: registered by name at import, loaded from the modules of a project."""

from __future__ import annotations

import importlib
import sys

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from traceback import extract_tb
from typing import TYPE_CHECKING

from proctor.errors import ConfigError, DefinitionError, ProctorError

if TYPE_CHECKING:
    from proctor.authoring.definition import Backfill
    from proctor.model import RolloutPlan

REGISTRY: dict[str, Backfill] = {}
"""Every backfill of this process by name."""
ROLLOUTS: dict[str, RolloutPlan] = {}
"""Every rollout of this process by name."""


@dataclass(slots=True)
class Project:
    """What `load` imported, so that another project, or an edited file, is imported afresh."""

    root: Path | None = None
    files: dict[str, tuple[str, int, int]] = field(default_factory=dict)
    """Module name to its file, its time of change in nanoseconds and its size."""


_project = Project()


def register(made: Backfill) -> None:
    """Take a backfill in; DefinitionError naming both files when its name is taken.

    The same definition run again (a reload) replaces itself, as does one typed into `__main__`.
    """
    other = REGISTRY.get(made.name)
    if other is not None and made.module != "__main__":
        here, there = f"{made.file}:{made.line}", f"{other.file}:{other.line}"
        if here != there:
            raise DefinitionError(
                f"two backfills are named {made.name}",
                found=f"{_near(there)} and {_near(here)}",
                fix='give one of them another name: name="…"',
            )
    REGISTRY[made.name] = made


def load(modules: Sequence[str], root: Path) -> dict[str, Backfill]:
    """Import the modules of proctor.toml, `root` first on the path; their backfills by name.

    A second call imports again when `root` or a file that was imported has changed. Raises
    ConfigError for a module that is not there or defines nothing, DefinitionError for one
    that cannot be imported, and whatever a definition in it raises.
    """
    root = root.resolve()
    _forget_if_stale(root)
    _project.root = root
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    before = set(sys.modules)
    try:
        with _no_bytecode():
            for module in modules:
                _import(module, root)
    finally:
        _remember(set(sys.modules) - before, root)
    found = {
        name: made
        for name, made in sorted(REGISTRY.items())
        if made.module in _project.files or _within(made.module, modules)
    }
    for module in modules:
        if not any(_within(made.module, [module]) for made in found.values()):
            _complain_if_empty(module, found)
    return found


def load_rollouts(modules: Sequence[str], root: Path) -> dict[str, RolloutPlan]:
    """Import the modules of proctor.toml that define rollouts, behind `load`; them by name."""
    before = set(sys.modules)
    try:
        with _no_bytecode():
            for module in modules:
                _import(module, root, key="rollouts")
    finally:
        _remember(set(sys.modules) - before, root.resolve())
    return {
        name: made
        for name, made in sorted(ROLLOUTS.items())
        if made.module in _project.files or _within(made.module, modules)
    }


def _import(module: str, root: Path, *, key: str = "backfills") -> None:
    try:
        importlib.import_module(module)
    except DefinitionError as error:
        raise _placed(error, root) from error
    except ProctorError:
        raise
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise _broken(module, error, root) from error
        raise ConfigError(
            f"proctor.toml names the module {module}, which is not there",
            found=f"no module {error.name} under {root.name}/ or among installed packages",
            fix=f'{key} = ["{module}"] means {module.replace(".", "/")}.py beside proctor.toml',
        ) from error
    except Exception as error:
        raise _broken(module, error, root) from error


def _placed(error: DefinitionError, root: Path) -> DefinitionError:
    """The error with its place, where it does not say it already."""
    place = _place(error, root)
    if not place or place.rpartition("/")[2] in error.what:
        return error
    return DefinitionError(f"{error.what} ({place})", found=error.found, fix=error.fix)


def _place(error: Exception, root: Path) -> str:
    """The last place in the project where an exception passed."""
    frames = [f for f in extract_tb(error.__traceback__) if f.filename.startswith(str(root))]
    return _near(f"{frames[-1].filename}:{frames[-1].lineno}") if frames else ""


def _broken(module: str, error: Exception, root: Path) -> DefinitionError:
    """The author's exception, with its place."""
    place = _place(error, root)
    at = f" at {place}" if place else ""
    if isinstance(error, SyntaxError) and error.filename:
        at = f" at {_near(f'{error.filename}:{error.lineno}')}"
    return DefinitionError(
        f"the module {module} cannot be imported",
        found=f"{type(error).__name__}{at}: {getattr(error, 'msg', None) or error}",
        fix="mend it until `python -c 'import "
        f"{module}'` passes in {root.name}/; install what it imports where proctor runs",
    )


def _complain_if_empty(module: str, found: dict[str, Backfill]) -> None:
    """A module may import its backfills from others; one without any is a mistake."""
    mine = {id(made) for made in found.values()}
    if any(id(value) in mine for value in vars(sys.modules[module]).values()):
        return
    package = hasattr(sys.modules[module], "__path__")
    raise ConfigError(
        f"the module {module} of proctor.toml defines no backfill",
        found="a package whose __init__.py imports none" if package else "no @backfill in it",
        fix=f'name the modules inside it: backfills = ["{module}.…"]'
        if package
        else "define one, or name the right module under backfills",
    )


def _within(module: str, packages: Sequence[str]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def _remember(new: set[str], root: Path) -> None:
    """Note the first-party modules that were imported, as they were."""
    for name in new:
        file = getattr(sys.modules.get(name), "__file__", None)
        if file is None or not is_first_party(Path(file), root):
            continue
        try:
            stat = Path(file).stat()
        except OSError:
            continue
        _project.files[name] = (file, stat.st_mtime_ns, stat.st_size)


def _forget_if_stale(root: Path) -> None:
    """Drop what an earlier call imported when the project or one of its files is another."""
    if _project.root in (None, root) and all(map(_same, _project.files.values())):
        return
    if _project.root is not None and str(_project.root) in sys.path:
        sys.path.remove(str(_project.root))
    for name in _project.files:
        sys.modules.pop(name, None)
    for name in [n for n, made in REGISTRY.items() if made.module in _project.files]:
        del REGISTRY[name]
    for name in [n for n, made in ROLLOUTS.items() if made.module in _project.files]:
        del ROLLOUTS[name]
    _project.files.clear()
    importlib.invalidate_caches()


def _same(noted: tuple[str, int, int]) -> bool:
    file, changed, size = noted
    try:
        stat = Path(file).stat()
    except OSError:
        return False
    return (stat.st_mtime_ns, stat.st_size) == (changed, size)


def is_first_party(file: Path, root: Path) -> bool:
    """Whether a module's file belongs to the project: under its root, and not installed there."""
    try:
        inside = file.resolve().relative_to(root)
    except ValueError:
        return False
    return not {"site-packages", "dist-packages"} & set(inside.parts)


@contextmanager
def _no_bytecode() -> Iterator[None]:
    """Compile from source and leave no .pyc: it is told apart by whole seconds and size only.

    What is digested is the source; what runs must be that source also when a file was edited
    within the second.
    """
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        yield
    finally:
        sys.dont_write_bytecode = before


def _near(place: str) -> str:
    """A place without the part of the path that says where this machine keeps its projects."""
    root = f"{_project.root}/" if _project.root is not None else ""
    if root and place.startswith(root):
        return place[len(root) :]
    return "/".join(Path(place).parts[-2:])
