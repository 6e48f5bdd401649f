"""The digest of what would run: the code as it means, not as it looks, and everything beside it."""

from __future__ import annotations

import ast
import hashlib
import json
import sys

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from importlib import invalidate_caches, metadata
from importlib.machinery import (
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    ModuleSpec,
    SourceFileLoader,
)
from importlib.util import decode_source, find_spec
from pathlib import Path
from typing import Any

from proctor.authoring import Backfill
from proctor.errors import DefinitionError
from proctor.model import Shape, Source, Spec

LIBRARIES = ("site-packages", "dist-packages")
_LOADERS = ((ExtensionFileLoader, EXTENSION_SUFFIXES), (SourceFileLoader, SOURCE_SUFFIXES))
_IDENTITY = (
    "backfill", "version", "kind", "source", "key", "fills", "stamp", "into", "into_key",
)  # fmt: skip
OURSELVES = "proctor"
"""Not part of the author's code: a run may be resumed by a newer Proctor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """The digest of everything that the function's meaning hangs on, file by file.

    `files` maps a source file (its path in the project, or its module's name outside of it),
    a `depends=` file, a distribution (to its version), "python" and what the definition gives
    beside the function ("sql=", "where=" …) to what stands for it.
    """

    files: Mapping[str, str]

    @property
    def digest(self) -> str:
        """One digest over all of them."""
        return digest_of(self.files)


def digest_code(backfill: Backfill, root: Path) -> Code:
    """Follow the imports of a backfill's module and digest what is found.

    Source files count by their syntax tree without docstrings, comments and layout; imports
    inside functions count as well. Nothing is executed. Raises DefinitionError where the
    source cannot be read.
    """
    root = root.resolve()
    invalidate_caches()  # a file may have been written since Python last looked
    walk = Walk(root=root)
    own = Path(backfill.file)
    if not own.is_file():
        raise DefinitionError(
            f"the code of {backfill.name} cannot be read, so nobody could approve it",
            found=f"it is defined in {backfill.file}",
            fix="put it into a module and name that in proctor.toml",
        )
    walk.file(backfill.module, own)
    home, home_file = backfill.home
    if home != backfill.module and inside(Path(home_file), root):
        walk.file(home, Path(home_file))
    while walk.waiting:
        walk.module(walk.waiting.pop())
    for name in backfill.depends:
        path = own.parent / name
        walk.files[walk.label(name, path)] = _digest_file(path, backfill)
    walk.files |= _given(backfill.spec)
    if backfill.ready:
        # What they are made from may stand anywhere: their parameters count, not their code alone.
        walk.files["checks="] = digest_of([check.identity() for check in backfill.ready])
    walk.files["python"] = f"{sys.version_info.major}.{sys.version_info.minor}"
    return Code(files=dict(sorted(walk.files.items())))


def digest_parts(
    *, code: Code, spec: Spec, shape: Shape, env: str, limits: Mapping[str, str]
) -> dict[str, str]:
    """The digest of each part that an approval covers, by the part's name."""
    return {
        "code": code.digest,
        "params": digest_of(dict(spec.params)),
        "spec": digest_of(identity(spec)),
        "schema": shape.digest,
        "target": digest_of([shape.identity, spec.target]),
        "environment": digest_of(env),
        "limits": digest_of(dict(limits)),
    }


def identity(spec: Spec) -> dict[str, str]:
    """What makes it this run: which rows of which table, what it fills, in which version."""
    source = "a query" if spec.kind is Source.QUERY else spec.source
    parts = {
        "backfill": spec.backfill,
        "version": spec.version,
        "source": source,
        "key": ", ".join(f"{'-' if k.descending else ''}{k.column}" for k in spec.key),
        "fills": ", ".join(spec.fills),
        "stamp": spec.stamp or "",
        "into": spec.into or "",
        "into_key": ", ".join(spec.into_key),
    }
    return {name: text for name, text in parts.items() if text}


def _given(spec: Spec) -> dict[str, str]:
    """The rest of a definition: as much code as the function is, and as fit to be mended."""
    given = {
        f.name: getattr(spec, f.name) for f in fields(spec) if f.name not in (*_IDENTITY, "params")
    }
    if spec.kind is Source.QUERY:
        given["query"] = spec.source
    usual = {f.name: f.default for f in fields(spec)}
    told = {k: v for k, v in given.items() if v != usual.get(k)}
    if spec.touches:
        told["touches"] = [asdict(touch) for touch in spec.touches]
    return {f"{k}=": digest_of(v) for k, v in told.items()}


def digest_of(value: Any) -> str:
    """SHA-256 of a value's canonical JSON: sorted names, no spaces, plain text."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def digest_source(source: str) -> str:
    """SHA-256 of what a Python source means: without docstrings, comments, layout and places."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and _is_docstring(node, body):
            del body[0]
    return hashlib.sha256(ast.dump(tree).encode("utf-8", "surrogatepass")).hexdigest()


def _is_docstring(node: ast.AST, body: list[Any]) -> bool:
    return (
        isinstance(node, ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and bool(body)
        and isinstance(body[0], ast.Expr)
        and isinstance(body[0].value, ast.Constant)
        and isinstance(body[0].value.value, str)
    )


@dataclass(slots=True)
class Walk:
    """What was found on the way from import to import."""

    root: Path
    files: dict[str, str] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    waiting: list[str] = field(default_factory=list)

    def module(self, name: str) -> None:
        """Look at a module by its name: the project's is read, a library's version is kept."""
        top = name.partition(".")[0]
        if name in self.seen or top == OURSELVES or top in sys.stdlib_module_names:
            return
        self.seen.add(name)
        found = locate(name)
        if found is None or found.origin is None:
            return  # a name inside a module, a namespace, or a module that is not installed
        path = Path(found.origin)
        if set(path.parts) & set(LIBRARIES):
            self.library(top, path)
        elif path.is_file():
            self.file(name, path)

    def file(self, name: str, path: Path) -> None:
        """Digest one source file of the project and queue what it imports."""
        self.seen.add(name)
        content = path.read_bytes()
        label = self.label(name, path)
        if path.suffix != ".py":
            self.files[label] = hashlib.sha256(content).hexdigest()
            return
        source = decode_source(content)
        self.files[label] = digest_source(source)
        package = name if path.stem == "__init__" else name.rpartition(".")[0]
        for imported in imports(ast.parse(source), package):
            self.waiting += prefixes(imported)

    def library(self, top: str, path: Path) -> None:
        """Keep the version of the distribution that a library belongs to."""
        for distribution in _distributions(top):
            self.files[distribution] = metadata.version(distribution)
            return
        # Somebody copied it there: no version speaks for it, so its content does.
        self.files[top] = hashlib.sha256(path.read_bytes()).hexdigest()

    def label(self, name: str, path: Path) -> str:
        """How a refusal names a file: by its place in the project, never on the machine."""
        path = path.resolve()
        return path.relative_to(self.root).as_posix() if inside(path, self.root) else name


def imports(tree: ast.AST, package: str) -> Iterator[str]:
    """Every module that a source names in an import, at the top or inside a function.

    `from a import b` gives both `a` and `a.b`: only looking tells whether b is a module. A
    call of `import_module("name")` with a literal counts too.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".") if node.level else []
            base = base[: len(base) - node.level + 1] if node.level > 1 else base
            stem = ".".join((*base, *(node.module or "").split("."))).strip(".")
            yield stem
            yield from (f"{stem}.{alias.name}" for alias in node.names if alias.name != "*")
        elif isinstance(node, ast.Call) and _imports_by_call(node):
            yield str(node.args[0].value)  # type: ignore[attr-defined]


def _imports_by_call(node: ast.Call) -> bool:
    called = node.func.attr if isinstance(node.func, ast.Attribute) else None
    called = node.func.id if isinstance(node.func, ast.Name) else called
    if called not in ("import_module", "__import__") or not node.args:
        return False
    first = node.args[0]
    return isinstance(first, ast.Constant) and isinstance(first.value, str)


def prefixes(name: str) -> list[str]:
    """A module and the packages it is in: importing it runs them all."""
    parts = name.split(".")
    return [".".join(parts[: i + 1]) for i in range(len(parts))]


def locate(name: str) -> ModuleSpec | None:
    """Where a module would be imported from, found without importing its packages."""
    top, *inner = prefixes(name)
    try:
        found = find_spec(top)
    except (ImportError, ValueError):
        return None
    for part in inner:
        if found is None:
            return None
        found = _inside_package(part, found.submodule_search_locations or ())
    return found


def _inside_package(name: str, places: Iterable[str]) -> ModuleSpec | None:
    """The same for a module of a package; a directory without __init__.py is one, too."""
    spaces = []
    for place in places:
        found = FileFinder(place, *_LOADERS).find_spec(name)
        if found is not None and found.loader is not None:
            return found
        if found is not None:
            spaces += list(found.submodule_search_locations or ())
    if not spaces:
        return None
    space = ModuleSpec(name, None, is_package=True)
    space.submodule_search_locations = spaces
    return space


def inside(path: Path, root: Path) -> bool:
    """Whether a file is the project's own."""
    path = path.resolve()
    return path.is_relative_to(root) and not set(path.relative_to(root).parts) & set(LIBRARIES)


def _distributions(top: str) -> list[str]:
    """The distribution of a top-level import name; the slow map only where names differ."""
    try:
        return [metadata.distribution(top).metadata["Name"]]
    except metadata.PackageNotFoundError:
        return sorted(metadata.packages_distributions().get(top, []))


def _digest_file(path: Path, backfill: Backfill) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise DefinitionError(
            f"a file that {backfill.name} depends on cannot be read",
            found=f"{path.name}: {type(error).__name__}",
            fix="put it back, or drop it from depends=",
        ) from error
