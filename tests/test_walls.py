"""Who may import whom, over the syntax trees of the package: nothing is run. The path of a byte goes downwards only:

codec -> block_codec -> engine -> coding -> network, context_mixing -> range_coder -> format.

A checker takes a graph, module -> what it imports, and returns its complaints; each has its own test with a violation.
"""

from __future__ import annotations

import ast
import functools
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import arzip
from arzip.jit.sources import WITHOUT_KERNELS

PACKAGE = Path(arzip.__file__).parent
Graph = dict[str, set[str]]

# Name of a module or a package below arzip -> what of arzip it may import beside itself; who isn't named is free.
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "probability": set(),
    "version": set(),
    "format": {"errors"},
    "system": {"errors"},
    "jit": {"errors"},
    "network": {"jit", "probability"},
    "context_mixing": {"jit", "probability"},
    "levels": {"context_mixing.profile"},
    "memory": {"context_mixing.profile", "errors", "format", "levels"},
    "weights": {"context_mixing.pretrained", "errors", "format", "network.config", "system"},
    "preprocess": {"coding.range_coder", "format", "jit"},  # what streams deviate in is range coded
    "coding": {"context_mixing", "jit", "network", "probability"},
    "media": {"coding.range_coder", "context_mixing.logistic", "format.varint", "jit", "probability"},
    "engine": {"coding", "context_mixing", "errors", "jit", "network", "weights.file"},
    "planner": {"engine", "levels"},
    "block_codec": {
        *("context_mixing.profile", "engine", "errors", "format", "levels", "media", "planner", "preprocess"),
        "system.workers",
    },
    "codec": {
        "block_codec",
        "engine",
        "errors",
        "format",
        "jit.compile_events",
        "levels",
        "media",
        "memory",
        "preprocess.opened",
        "system.workers",
        "weights.head",
        "weights.registry",
    },
    "api": {
        *("block_codec", "codec", "engine.engine", "engine.records", "errors", "format", "levels", "media"),
        *("system.extras", "system.workers", "weights.registry"),
    },
    "cluster": {
        *("api.options", "codec", "errors", "format", "levels", "system", "version"),
    },
    "bench": {"errors", "format", "levels", "system", "version", "weights.registry"},
}
# What to import -> the modules and packages that do.
ONLY_IMPORTERS: dict[str, set[str]] = {
    "constriction": {"coding.range_coder"},
    "safetensors": {"weights.file"},
    "matplotlib": {"bench.plot", "system.figures"},
    "rich": {"bench.terminal", "cli.messages"},
    "click": {"cli", "train"},
    "fsspec": {"api.fsspec", "cluster.locations"},
    "numcodecs": {"api.numcodecs"},
    "ray": {"cluster.pool"},
    "zarr": {"api.zarr"},
    "torch": {"cli.train", "network.forward_triton", "train"},
    "triton": {"network.forward_triton", "train.scan_triton"},
    "numba.njit": {"jit"},
    "arzip.cli": {"__main__"},
    "arzip.cluster": {"cli.cat", "cli.cluster"},
    "arzip.bench": {"cli.bench", "cli.corpora"},
    "arzip.train": {"cli.train"},
}
STANDARD_LIBRARY_ONLY = {
    *("bench.corpora", "context_mixing.profile", "errors", "format", "levels", "memory", "probability", "version"),
    *(
        "system.compressed",
        "system.extras",
        "system.files",
        "system.outputs",
        "system.user_dirs",
        "system.workers",
        "weights.head",
        "weights.registry",
    ),
}
HEAVY = {"llvmlite", "matplotlib", "numba", "numpy", "rich", "torch"}
START = {"arzip.__main__"}  # of the command
NAMES = {f"arzip.api.{name}" for name in ("batch", "file", "incremental", "oneshot", "records")}  # of `import arzip`
MAX_MODULES, MAX_FOLDERS = 8, 17


def modules(package: Path) -> dict[str, Path]:
    """Dotted name -> file of every module below the folder of a package."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def statements(tree: ast.Module, everywhere: bool) -> Iterator[ast.AST]:
    """All nodes; or those that are run when the module is imported: no bodies of functions, no `if TYPE_CHECKING`."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        deferred = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        checking = isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        if everywhere or not (deferred or checking):
            waiting += ast.iter_child_nodes(node)


def imports(source: str, name: str, known: set[str], everywhere: bool = True) -> set[str]:
    """What the module called `name` imports: modules in `known`, and dotted names from elsewhere.

    `from numba import njit` gives numba.njit, `import numba` gives numba. Not everywhere: see `statements`.
    """
    found = set()
    for node in statements(ast.parse(source), everywhere):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, f"{name}: imports are absolute here"
            for full in (f"{node.module}.{alias.name}" for alias in node.names):
                found.add(node.module if node.module in known and full not in known else full)
    return found - {name}


@functools.cache
def graph(everywhere: bool = True, package: Path = PACKAGE) -> Graph:
    """The graph of a package called arzip."""
    files = modules(package)
    return {name: imports(path.read_text("utf-8"), name, set(files), everywhere) for name, path in files.items()}


def is_in(name: str, package: str) -> bool:
    """Whether a dotted name is that of a package or of something in it."""
    return name == package or name.startswith(package + ".")


def broken_walls(imported: Graph) -> list[str]:
    """Imports that MAY_IMPORT doesn't allow."""
    complaints = []
    for name, found in imported.items():
        for unit, allowed in MAY_IMPORT.items():
            if is_in(name, f"arzip.{unit}"):
                within = [f"arzip.{other}" for other in (*allowed, unit)]
                ours = {other for other in found if other.startswith("arzip.")}
                complaints += [f"{name} -> {o}" for o in sorted(ours) if not any(is_in(o, a) for a in within)]
    return complaints


def foreign_importers(imported: Graph) -> list[str]:
    """Imports of what only others import; `import numba` brings njit too."""
    complaints = []
    for what, importers in ONLY_IMPORTERS.items():
        homes = [f"arzip.{home}" for home in importers] + ([what] if is_in(what, "arzip") else [])
        for name, found in imported.items():
            brings = any(is_in(other, what) or (what == "numba.njit" and other == "numba") for other in found)
            if brings and not any(is_in(name, home) for home in homes):
                complaints.append(f"{name} -> {what}")
    return complaints


def not_of_the_standard_library(imported: Graph) -> list[str]:
    """What modules that are to do with the standard library, and arzip, import beside it."""
    return [
        f"{name} -> {other}"
        for name, found in imported.items()
        if any(is_in(name, f"arzip.{unit}") for unit in STANDARD_LIBRARY_ONLY)
        for other in sorted(found)
        if other.split(".")[0] not in {"arzip", *sys.stdlib_module_names}
    ]


def heavy_at_start(imported: Graph, start: set[str]) -> list[str]:
    """HEAVY libraries that come with the modules in `start`; of imports that are run at once."""
    seen, waiting, complaints = set(start), sorted(start), []
    while waiting:
        name = waiting.pop()
        for other in sorted(imported.get(name, set())):
            if other.split(".")[0] in HEAVY:
                complaints.append(f"{name} -> {other}")
            parents = {other.rsplit(".", k)[0] for k in range(1, other.count(".") + 1)}
            new = {module for module in {other, *parents} if is_in(module, "arzip")} - seen
            seen |= new
            waiting += new
    return complaints


def circle(imported: Graph) -> list[str]:
    """Modules of which each imports the next and the last the first; empty: there is no circle."""
    done: set[str] = set()

    def walk(name: str, path: list[str]) -> list[str]:
        if name in path:
            return [*path[path.index(name) :], name]
        if name in done or name not in imported:
            return []
        for other in sorted(imported[name]):
            if found := walk(other, [*path, name]):
                return found
        done.add(name)
        return []

    return next((found for name in sorted(imported) if (found := walk(name, []))), [])


def crowd(paths: set[str]) -> list[str]:
    """Complaints about too many modules or folders directly in arzip/; paths: of all modules, from there."""
    files = {path for path in paths if "/" not in path}
    folders = {path.split("/")[0] for path in paths - files}
    complaints = [f"{len(files)} modules: {sorted(files)}"] * (len(files) > MAX_MODULES)
    return complaints + [f"{len(folders)} folders: {sorted(folders)}"] * (len(folders) > MAX_FOLDERS)


def stale_kernels(imported: Graph) -> list[str]:
    """Kernels that stand in, or take something from, what the stamp of compiled kernels leaves out."""
    complaints, homes = [], [f"arzip.{unit}" for unit in sorted(WITHOUT_KERNELS)]
    for name, found in imported.items():
        if "arzip.jit.compile" in found:
            complaints += [f"{name} holds kernels" for home in homes if is_in(name, home)]
            complaints += [f"{name} -> {other}" for home in homes for other in sorted(found) if is_in(other, home)]
    return complaints


def test_compiled_kernels_depend_on_nothing_that_their_stamp_leaves_out() -> None:
    assert stale_kernels(graph()) == []


def test_a_planted_kernel_outside_its_stamp_is_seen() -> None:
    kernels = {"arzip.jit.compile", "numba"}
    planted = {"arzip.cli.options": kernels, "arzip.coding.lockstep": kernels | {"arzip.levels"}}
    assert stale_kernels(planted) == ["arzip.cli.options holds kernels", "arzip.coding.lockstep -> arzip.levels"]


def test_no_module_imports_what_is_above_it() -> None:
    assert broken_walls(graph()) == []
    assert all(any(is_in(name, f"arzip.{unit}") for name in graph()) for unit in MAY_IMPORT)


def test_each_dependency_has_its_importers() -> None:
    assert foreign_importers(graph()) == []


def test_the_archive_and_the_system_need_the_standard_library_only() -> None:
    assert not_of_the_standard_library(graph()) == []


def test_modules_import_each_other_in_no_circle() -> None:
    assert circle(graph()) == []


def test_nothing_heavy_is_imported_before_it_is_needed() -> None:
    for start in (START, {"arzip"}, NAMES):
        assert heavy_at_start(graph(everywhere=False), start) == []


def test_the_package_is_a_few_modules_and_folders() -> None:
    assert crowd({path.relative_to(PACKAGE).as_posix() for path in modules(PACKAGE).values()}) == []


def planted(folder: Path, module: str, source: str) -> Path:
    """A copy of the package's modules in a folder, with lines added to one of them, or with a new one."""
    package = folder / "arzip"
    shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("models", "manifests", "__pycache__"))
    with open(package / module, "a", encoding="utf-8") as file:
        file.write(source)
    return package


@pytest.mark.parametrize(
    ("module", "source", "complaints"),
    [
        ("format/records.py", "import arzip.levels\n", lambda g: broken_walls(g(True))),
        ("network/gemm.py", "def f():\n    from arzip.codec import Options\n", lambda g: broken_walls(g(True))),
        ("codec/encoder.py", "import torch\n", lambda g: foreign_importers(g(True))),
        ("format/planted.py", "import numpy\n", lambda g: not_of_the_standard_library(g(True))),
        ("errors.py", "import arzip.format.records\n", lambda g: circle(g(True))),
        ("cli/options.py", "import arzip.codec\n", lambda g: heavy_at_start(g(False), START)),
    ],
)
def test_a_violation_planted_in_the_package_is_seen(
    module: str, source: str, complaints: Callable[[Callable[[bool], Graph]], list[str]], tmp_path: Path
) -> None:
    package = planted(tmp_path, module, source)
    assert complaints(graph) == []
    assert complaints(lambda everywhere: graph(everywhere, package))


def test_a_planted_import_upwards_is_seen() -> None:
    assert broken_walls({"arzip.network.gemm": {"arzip.jit.compile", "numpy"}}) == []
    for name, other in (
        ("arzip.network.gemm", "arzip.coding.range_coder"),
        ("arzip.network.gemm", "arzip.context_mixing.state"),
        ("arzip.context_mixing.state", "arzip.network.config"),
        ("arzip.context_mixing.apm", "arzip.weights.file"),
        ("arzip.format.records", "arzip.levels"),
        ("arzip.jit.compile", "arzip.network.config"),
        ("arzip.engine.engine", "arzip.format.records"),
        ("arzip.coding.lockstep", "arzip.engine.plan"),
        ("arzip.levels", "arzip.context_mixing.state"),
        ("arzip.bench.measure", "arzip.codec"),
    ):
        assert broken_walls({name: {other}}) == [f"{name} -> {other}"]


def test_a_planted_importer_is_seen() -> None:
    assert foreign_importers({"arzip.coding.range_coder": {"constriction.stream", "numba.uint64"}}) == []
    assert (
        foreign_importers({"arzip.jit.compile": {"numba"}, "arzip.train.trainer": {"torch", "arzip.train.data"}}) == []
    )
    for name, other in (
        ("arzip.coding.lockstep", "constriction"),
        ("arzip.weights.registry", "safetensors.numpy"),
        ("arzip.codec", "torch"),
        ("arzip.network.gemm", "numba.njit"),
        ("arzip.bench.table", "rich.table"),
        ("arzip.codec", "click"),
        ("arzip.codec", "arzip.cli.messages"),
        ("arzip.engine.engine", "arzip.train"),
    ):
        [complaint] = foreign_importers({name: {other}})
        assert complaint.startswith(f"{name} -> ")
    assert foreign_importers({"arzip.network.gemm": {"numba"}}) == ["arzip.network.gemm -> numba.njit"]


def test_a_planted_library_is_seen() -> None:
    assert (
        not_of_the_standard_library({"arzip.format.records": {"zlib", "arzip.errors"}, "arzip.codec": {"numpy"}}) == []
    )
    assert not_of_the_standard_library({"arzip.format.records": {"numpy"}}) == ["arzip.format.records -> numpy"]


def test_a_planted_circle_is_seen() -> None:
    assert circle({"a": {"b", "d"}, "b": {"c"}, "c": {"numpy"}, "d": {"c"}}) == []
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"numpy", "b"}}) == ["b", "c", "b"]


def test_a_planted_heavy_import_is_seen() -> None:
    light = {"arzip.cli": {"arzip.levels", "click"}, "arzip.levels": {"dataclasses"}, "arzip.codec": {"numpy"}}
    assert heavy_at_start(light, {"arzip.cli"}) == []
    assert heavy_at_start(light | {"arzip.levels": {"arzip.codec"}}, {"arzip.cli"}) == ["arzip.codec -> numpy"]
    package = {"arzip.cli": {"arzip.network.config"}, "arzip.network": {"numba.njit"}}
    assert heavy_at_start(package, {"arzip.cli"}) == ["arzip.network -> numba.njit"]


def test_planted_modules_and_folders_are_counted() -> None:
    many = {f"m{k}.py" for k in range(MAX_MODULES)} | {f"f{k}/m.py" for k in range(MAX_FOLDERS)}
    assert crowd(many) == []
    assert len(crowd(many | {"more.py"})) == 1
    assert len(crowd(many | {"more/__init__.py"})) == 1


def test_imports_are_read_from_source() -> None:
    source = (
        "import os.path\nfrom arzip import a, b\nfrom arzip.a import c\nfrom numba import njit\n"
        "if TYPE_CHECKING:\n    import torch\n"
        "def f():\n    from arzip.b import d\n"
    )
    at_start = {"os.path", "arzip.a", "arzip.b", "numba.njit"}
    known = {"arzip.a", "arzip.b", "arzip.b.d"}
    assert imports(source, "arzip.x", known) == at_start | {"torch", "arzip.b.d"}
    assert imports(source, "arzip.x", known, everywhere=False) == at_start
