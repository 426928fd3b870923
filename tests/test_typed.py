"""What README, tutorial and how-tos tell to type works, in the order in which it stands there.

Run are all `sh` and `python` blocks of the pages below, in one folder a page; `toml` and `csv` blocks with a
title become files. Left out are the commands that install specksim and run its tests, which .ci/run does.
Blocks in `bash`, for clusters and graphics cards, are not run.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', flags=re.MULTILINE | re.DOTALL)
INSTALLING = ("python3 -m venv", ".venv/bin/pip install", ".venv/bin/python -m pytest")
SMALL_FRAME = "--set detector.rows=64 --set detector.columns=64"
SMALLER = {
    "README.md": {
        "--n 150": "--n 4",
        "--n 600": f"--n 4 {SMALL_FRAME}",
        "--n 60 ": f"--n 2 {SMALL_FRAME} ",
        "--simulate mine.toml": f"--simulate mine.toml {SMALL_FRAME}",
        "--filters 16 --crop 128": "--filters 2 --epochs 1 --batch-size 2 --crop 32",
        "--workers 2 --filters 16": "--filters 2 --epochs 1 --batch-size 1 --pairs 1",
    },
    "docs/tutorial.md": {
        "--n 150": "--n 4",
        "--n 300": "--n 4",
        "--n 30 ": "--n 2 ",
        "--filters 8 --epochs 8": "--filters 2 --epochs 1 --batch-size 2",
        "--method umpa --method unet:run": "--method umpa@window=9 --method unet:run",
    },
    "docs/own-setup.md": {},
    "docs/own-geometry.md": {},
    "docs/reading-files.md": {},
    "docs/conventions.md": {},
    "docs/attenuation.md": {},
}
"""The pages, and by what sizes are replaced to take seconds."""


def typed(page: str) -> list[tuple[str, str, str]]:
    """(language, title, text) of the blocks of a page, with small sizes and without installing."""
    blocks = []
    for language, title, text in BLOCK.findall((ROOT / page).read_text(encoding="utf-8")):
        if language == "sh":
            parts = [part.strip() for line in text.splitlines() for part in line.split("&&")]
            text = "\n".join(part for part in parts if not part.startswith(INSTALLING))
            for given, small in SMALLER[page].items():
                text = text.replace(given, small)
        blocks.append((language, title, text))
    return blocks


def run(words: list[str], folder: Path) -> str:
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    done = subprocess.run(words, cwd=folder, env={**os.environ, "PATH": path}, capture_output=True, text=True)
    assert done.returncode == 0, f"{words[-1]}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.parametrize("page", SMALLER)
def test_sizes_that_are_replaced_are_there(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    assert [size for size in SMALLER[page] if size not in text] == []


def test_pages_that_are_run_have_no_block_that_is_passed_over():
    known = {"sh", "python", "toml", "csv", "bash", "matlab", "text"}
    for page in SMALLER:
        assert {language for language, _, _ in typed(page)} <= known, page


@pytest.mark.slow
@pytest.mark.parametrize("page", SMALLER)
def test_what_a_page_tells_to_type_works(page, tmp_path):
    (tmp_path / ".venv").symlink_to(sys.prefix)
    if page == "README.md":
        _put_measured_images(tmp_path)
    for language, title, text in typed(page):
        if language == "sh":
            run(["bash", "-euo", "pipefail", "-c", text], tmp_path)
        elif language == "python":
            run([sys.executable, "-W", "error", "-c", text], tmp_path)
        elif title:
            (tmp_path / title).write_text(text, encoding="utf-8")
    assert list(tmp_path.glob("*.part")) == []
    shutil.rmtree(tmp_path / "run", ignore_errors=True)


def _put_measured_images(folder: Path) -> None:
    """The reference.tif and sample.tif that the README takes for granted."""
    import tifffile

    from specksim import Setup, simulate

    setup = Setup.load("imbl-28kev").with_values(detector__rows=64, detector__columns=64)
    pair = simulate(setup)
    tifffile.imwrite(folder / "reference.tif", pair.reference[0])
    tifffile.imwrite(folder / "sample.tif", pair.sample[0])
