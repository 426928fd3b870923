"""The house: who may import whom, and how large a room may be."""

import ast
from pathlib import Path

import pytest

import specksim

ROOT = Path(specksim.__file__).parent
MODULES = {
    ".".join(("specksim", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in sorted(ROOT.rglob("*.py"))
}

FLOORS = (
    {
        "materials",
        "grid",
        "compiled",
        "blocks",
        "elementary",
        "convex",
        "plugins",
        "seeds",
        "memory",
        "files",
        "filling",
        "images",
        "notebook",
    },
    {"parts", "spectra"},
    {"setups"},
    {"phantoms", "optics", "detector", "grains", "sandpaper", "validity"},
    {"drift"},
    {"tracing", "diffraction"},
    {"forward"},
    {"request", "assessment", "measured"},
    {"tuning"},
    {"dataset", "workers", "locks"},
    {"plan", "cluster"},
    {"generation", "figures", "retrieval"},
    {"benchmark"},
    {"cli", "__main__"},
)
"""From the ground up: a room imports from its own floor and those below."""

LIMIT = {"module": 400, "function": 60}
HEAVY = {"numpy", "scipy", "numba", "h5py", "hdf5plugin", "xraylib", "matplotlib", "tifffile", "tqdm"}


def imports(path: Path, top_only: bool = False) -> set[str]:
    """Names of all modules that a file imports; `from a import b` counts as a and a.b."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only = {
        id(node)
        for test in ast.walk(tree)
        if isinstance(test, ast.If) and ast.unparse(test.test) == "TYPE_CHECKING"
        for node in ast.walk(test)
    }
    nodes = tree.body if top_only else list(ast.walk(tree))
    found: set[str] = set()
    for node in nodes:
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            found |= {str(node.module)} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def rooms(path: Path) -> set[str]:
    """Rooms of this house that a file imports."""
    inner = {name for name in imports(path) if name.startswith("specksim.") and name in MODULES}
    return {room(name) for name in inner}


def floor(name: str) -> int:
    return next(number for number, names in enumerate(FLOORS) if name in names)


PLACED = [module for module in MODULES if room(module)]


def test_every_room_has_its_floor():
    assert {room(module) for module in PLACED} == set().union(*FLOORS)


@pytest.mark.parametrize("module", PLACED)
def test_imports_point_up_the_page(module):
    above = [name for name in rooms(MODULES[module]) if name and floor(name) > floor(room(module))]
    assert above == []


@pytest.mark.parametrize(
    ("rooms_", "forbidden"),
    [
        (
            ("materials", "grid", "compiled", "convex", "seeds", "parts", "setups"),
            {"phantoms", "optics", "forward", "dataset"},
        ),
        (
            ("optics", "phantoms", "detector", "grains", "sandpaper", "tracing", "diffraction"),
            {"forward", "dataset", "generation", "cli", "figures"},
        ),
        (("optics",), {"phantoms", "sandpaper", "setups"}),
        (("forward",), {"dataset", "generation", "workers", "cli", "figures"}),
        (("dataset",), {"generation", "plan", "cluster", "workers", "cli", "figures"}),
        (("workers", "cluster", "locks"), {"dataset", "forward", "generation", "plan", "setups"}),
        (("generation", "figures", "workers", "plan", "retrieval", "benchmark"), {"cli"}),
        (("retrieval",), {"forward", "phantoms", "generation", "plan", "workers", "figures"}),
    ],
)
def test_rooms_that_must_not_know_each_other(rooms_, forbidden):
    for module, path in MODULES.items():
        if room(module) in rooms_:
            assert not rooms(path) & forbidden, module


@pytest.mark.parametrize("module", [name for name in MODULES if room(name) in ("cli", "")])
def test_commands_import_nothing_heavy_at_their_top(module):
    names = imports(MODULES[module], top_only=True)
    assert not {name.partition(".")[0] for name in names} & HEAVY
    light = ("specksim.cli", "specksim.__version__", "specksim.benchmark.arguments")
    inner = {name for name in names if name.startswith("specksim.")}
    assert all(name.startswith(light) for name in inner), inner
    assert not HEAVY & {name.partition(".")[0] for name in imports(MODULES["specksim.benchmark.arguments"])}


def test_xraylib_is_known_in_one_place():
    assert [name for name, path in MODULES.items() if "xraylib" in imports(path)] == ["specksim.materials"]


@pytest.mark.parametrize("module", MODULES)
def test_the_simulator_does_not_know_the_networks(module):
    roots = {name.partition(".")[0] for name in imports(MODULES[module])}
    assert not roots & {"tensorflow", "keras", "jax", "torch", "specksim_train", "cv2"}


@pytest.mark.parametrize("module", MODULES)
def test_rooms_are_small(module):
    text = MODULES[module].read_text(encoding="utf-8")
    assert text.count("\n") <= LIMIT["module"]
    lengths = {
        node.name: node.end_lineno - node.body[0].lineno + 1
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno
    }
    assert {name: length for name, length in lengths.items() if length > LIMIT["function"]} == {}


@pytest.mark.parametrize("module", MODULES)
def test_every_module_says_what_it_is_for(module):
    assert ast.get_docstring(ast.parse(MODULES[module].read_text(encoding="utf-8")))
