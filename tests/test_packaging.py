"""What is installed: wheel and source distribution, in an environment without the repository."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PACKAGES = ("specksim", "specksim_train")
pytestmark = pytest.mark.slow


def run(words, folder):
    clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    words = [str(word) for word in words]
    done = subprocess.run(words, cwd=folder, env=clean, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def data_files():
    """Everything beside code that the packages need, by its path from the root."""
    named = {path for package in PACKAGES for path in (ROOT / package).rglob("*") if path.is_file()}
    kept = {path for path in named if path.suffix != ".py" and path.parent.name != "__pycache__"}
    return {path.relative_to(ROOT).as_posix() for path in kept}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The source distribution, and the wheel that is made of it alone."""
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for package in PACKAGES:
        shutil.copytree(ROOT / package, source / package, ignore=shutil.ignore_patterns("__pycache__"))
    target = tmp_path_factory.mktemp("dist")
    run([sys.executable, "-W", "ignore", "-m", "build", "--outdir", target, source], source)
    (sdist,) = target.glob("*.tar.gz")
    (wheel,) = target.glob("*.whl")
    return sdist, wheel


@pytest.fixture(scope="module")
def installed(built, tmp_path_factory):
    """Folder of the commands of an environment with the wheel; what it depends on is that of this one."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    words = [sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-deps", "--no-index"]
    run([*words, built[1]], folder)
    packages = run([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], folder).strip()
    ours = [path for path in sys.path if path.endswith("site-packages")]
    (Path(packages) / "dependencies.pth").write_text("\n".join(ours) + "\n")
    return folder / "bin"


def test_both_hold_presets_weights_and_the_marks_of_types(built):
    sdist, wheel = built
    with zipfile.ZipFile(wheel) as archive:
        in_wheel = set(archive.namelist())
    with tarfile.open(sdist) as archive:
        in_sdist = {name.partition("/")[2] for name in archive.getnames()}
    needed = data_files()
    assert {"specksim/py.typed", "specksim_train/py.typed", "specksim/presets/imbl-28kev.toml"} <= needed
    assert any(name.startswith("specksim_train/weights/") for name in needed)
    assert needed - in_wheel == set()
    assert needed - in_sdist == set()


def test_the_wheel_holds_the_packages_and_nothing_else(built):
    with zipfile.ZipFile(built[1]) as archive:
        names = archive.namelist()
        metadata = archive.read(next(name for name in names if name.endswith("/METADATA"))).decode()
    info = f"specksim-{PROJECT['version']}.dist-info"
    assert {name.partition("/")[0] for name in names} == {*PACKAGES, info}
    code = {path.relative_to(ROOT).as_posix() for name in PACKAGES for path in (ROOT / name).rglob("*.py")}
    assert code - set(names) == set()
    extras = set(re.findall(r"^Provides-Extra: (\S+)$", metadata, flags=re.MULTILINE))
    assert extras == set(PROJECT["optional-dependencies"])


def test_the_installed_commands_work_without_the_repository(installed, tmp_path):
    where = run([installed / "python", "-c", "import specksim; print(specksim.__file__)"], tmp_path)
    assert Path(where.strip()).is_relative_to(installed.parent)
    for program in ("specksim", "specksim-train"):
        assert run([installed / program, "--help"], tmp_path).startswith(f"Usage: {program} ")
        version = run([installed / program, "--version"], tmp_path)
        assert version.startswith(f"{program}, version {PROJECT['version']}\n")
    assert "lab-2m" in run([installed / "specksim", "setups"], tmp_path)
    small = ["--set", "detector.rows=32", "--set", "detector.columns=32", "--workers", "1"]
    run([installed / "specksim", "generate", "--n", "2", *small, "-o", "two.h5"], tmp_path)
    assert "2 pairs" in run([installed / "specksim", "check", "two.h5"], tmp_path)
    assert "shipped  imbl-28kev-guided" in run([installed / "specksim-train", "models"], tmp_path)


SMALL_PART = (
    "tests/cli/test_materials.py",
    "tests/cli/test_preview.py",
    "tests/cli/test_terminal.py",
    "tests/dataset/test_reader.py",
    "tests/optics",
    "tests/retrieval/test_trackers.py",
    "tests/test_detector.py",
    "tests/test_forward.py",
    "tests/test_notebook.py",
    "tests/test_sandpaper.py",
    "tests/test_setups.py",
    "tests/train/test_architectures.py",
    "tests/train/test_layers.py",
    "tests/train/test_weights.py",
)
"""Tests that go through every dependency with compiled code."""


def test_the_lowest_versions_that_are_supported(built, tmp_path):
    """Of all dependencies at once, on the oldest Python."""
    if sys.version_info[:2] > (3, 11):
        pytest.skip("the lowest versions have no wheels for this Python")
    extras = PROJECT["optional-dependencies"]
    (keras,) = (name for name in extras["jax"] if name.startswith("keras"))
    named = [*PROJECT["dependencies"], *extras["train-cpu"], keras]
    lowest = [name.replace(">=", "==") for name in named]
    assert all(re.fullmatch(r"[\w-]+==[\d.]+", name) for name in lowest)
    venv.create(tmp_path / "env", with_pip=True)
    python = tmp_path / "env" / "bin" / "python"
    tools = ["pytest", "hypothesis"]
    run([python, "-m", "pip", "install", "-q", "--only-binary", ":all:", *lowest, *tools], tmp_path)
    run([python, "-m", "pip", "install", "-q", "--no-deps", "--no-index", built[1]], tmp_path)
    shutil.copytree(ROOT / "tests", tmp_path / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    old = ["ignore::DeprecationWarning", "ignore::UserWarning"]  # of old packages, about new ones
    words = ["-q", "-p", "no:cacheprovider", *(word for rule in old for word in ("-W", rule))]
    said = run([python, "-m", "pytest", *words, *SMALL_PART], tmp_path)
    assert re.search(r"^\d+ passed", said.splitlines()[-1])
