"""specksim generate: options, words, and runs that end early."""

import ctypes
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

import specksim
from specksim.dataset import open_dataset
from tests.cli.conftest import SETS


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# ---- what it makes ----------------------------------------------------------------------------------


def test_the_closing_line_holds_path_pairs_seconds_rate_and_size(cli, tmp_path):
    done = cli("generate", "--n", 2, *SETS, "-o", tmp_path / "x.h5")
    assert done.status == 0
    assert done.err == ""
    path = re.escape(str(tmp_path / "x.h5"))
    assert re.fullmatch(rf"{path}: 2 pairs in [\d.]+ s \([\d.]+ pairs/s\), [\d.]+ [kMG]?B\n", done.out)


def test_the_file_is_named_after_the_material(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli("generate", "--material", "nylon", "--n", 1, *SETS).status == 0
    assert cli("generate", "--material", "Water, Liquid", "--n", 1, *SETS).status == 0
    assert names(tmp_path) == ["Water--Liquid.h5", "nylon.h5"]


def test_the_command_makes_what_the_library_makes(cli, tmp_path, tiny):
    assert cli("generate", "--material", "al2o3", "--n", 4, *SETS, "-o", tmp_path / "x.h5").status == 0
    with open_dataset(tmp_path / "x.h5") as one, open_dataset(tiny) as two:
        assert one.provenance()["content_hash"] == two.provenance()["content_hash"]


def test_every_option_reaches_the_request(cli, tmp_path):
    words = ["--material", "C8H8", "--density", 1.05, "--geometry", "sphere", "--geometry", "fiber"]
    words += ["--setup", "i12-53kev", "--photons", 500, "--seed", 7, "--split", "evaluation", "--steps", 2]
    words += ["--propagation", "waves"]
    words += ["--compression", "gzip", "--workers", 1]
    done = cli("generate", "--n", 2, *words, *SETS, "-o", tmp_path / "x.h5")
    assert done.status == 0, done.err
    with open_dataset(tmp_path / "x.h5") as dataset:
        request = dataset.request
    assert request.materials == ("C8H8@1.05",)
    assert request.geometries == ("sphere", "fiber")
    assert (request.seed, request.split, request.steps) == (7, "evaluation", 2)
    assert request.propagation == "waves"
    assert request.setup.beam.energy_kev == 53.0
    assert request.setup.detector.photons_per_pixel == 500.0


def test_photons_none_makes_images_without_noise(cli, tmp_path):
    done = cli("generate", "--n", 1, *SETS, "--photons", "none", "-o", tmp_path / "x.h5")
    assert done.status == 0
    with open_dataset(tmp_path / "x.h5") as dataset:
        assert dataset[0].reference.dtype == "float32"


def test_a_setup_file_of_the_user(cli, tmp_path):
    toml = tmp_path / "mine.toml"
    toml.write_text('base = "mct-25kev"\n[detector]\nrows = 40\ncolumns = 24\n[diffuser]\nsheets = 1\n')
    assert cli("generate", "--n", 1, "--setup", toml, "-o", tmp_path / "x.h5").status == 0
    with open_dataset(tmp_path / "x.h5") as dataset:
        assert dataset[0].dx.shape == (40, 24)
        assert dataset.request.setup.beam.energy_kev == 25.0


def test_a_long_run_is_announced_with_time_and_size(tmp_path, command):
    with subprocess.Popen(
        [*command, "generate", "--n", "9000", "--workers", "1", *SETS, "-o", tmp_path / "x.h5"],
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stderr is not None
        announcement = running.stderr.readline()
        running.send_signal(signal.SIGINT)
        rest = running.stderr.read()
    assert re.search(r"9000 pairs of nylon.*about \d+(\.\d+)? (s|min|h).*\d+(\.\d+)? [MGT]B", announcement)
    assert rest.strip() == "Error: interrupted"


def test_shares_are_merged_by_the_command(cli, tmp_path, tiny):
    words = [
        "-q",
        "generate",
        "--material",
        "al2o3",
        "--n",
        4,
        *SETS,
        "-o",
        tmp_path / "x.h5",
        "--workers",
        1,
    ]
    first = cli(*words, "--shard", "1/2")
    assert (first.status, first.err) == (0, "")
    assert first.out.startswith("share 1 of 2: 3 pairs in ")
    assert f"1 of 2 shards are finished; when all are: specksim merge {tmp_path / 'x.h5'}" in first.out
    assert "1 of 2 shards are missing (1)" in cli("merge", tmp_path / "x.h5").error
    assert cli(*words, "--shard", "2/2").status == 0
    merged = cli("merge", tmp_path / "x.h5")
    assert (merged.status, merged.err) == (0, "")
    assert re.fullmatch(r".*x\.h5: complete, 4 pairs, [\d.]+ MB; 2 shards merged\n", merged.out)
    assert names(tmp_path) == ["x.h5"]
    with open_dataset(tmp_path / "x.h5") as one, open_dataset(tiny) as two:
        assert one.provenance()["content_hash"] == two.provenance()["content_hash"]
    assert "nothing was left to merge" in cli("merge", tmp_path / "x.h5").out


def test_a_finished_file_grows(cli, tmp_path):
    words = ["generate", *SETS, "-o", tmp_path / "x.h5", "--workers", 1]
    cli(*words, "--n", 3)
    grown = cli(*words, "--n", 5, "--resume")
    assert grown.status == 0
    assert ": 2 pairs in " in grown.out
    again = cli(*words, "--n", 5, "--resume")
    assert re.search(r"x.h5: complete, 5 pairs, [\d.]+ MB; nothing was left to simulate", again.out)
    assert "n: 5 there, 4 asked for" in cli(*words, "--n", 4, "--resume").error


# ---- refusals ---------------------------------------------------------------------------------------


def test_an_existing_file_needs_overwrite(cli, tmp_path):
    words = ["generate", "--n", 1, *SETS, "-o", tmp_path / "x.h5"]
    assert cli(*words).status == 0
    before = (tmp_path / "x.h5").read_bytes()
    assert "--overwrite" in cli(*words, "--seed", 1).error
    assert (tmp_path / "x.h5").read_bytes() == before
    assert cli(*words, "--seed", 1, "--overwrite").status == 0
    assert (tmp_path / "x.h5").read_bytes() != before


def test_resume_of_a_finished_file_is_a_success(cli, tmp_path):
    words = ["generate", "--n", 1, *SETS, "-o", tmp_path / "x.h5"]
    assert cli(*words).status == 0
    before = (tmp_path / "x.h5").read_bytes()
    assert cli(*words, "--resume").status == 0
    assert (tmp_path / "x.h5").read_bytes() == before


def test_remnants_are_refused_with_both_ways_out(cli, tmp_path):
    (tmp_path / "x.h5.shard-00000").write_text("from a former run")
    error = cli("generate", "--n", 4, *SETS, "-o", tmp_path / "x.h5").error
    assert "--resume" in error
    assert "--overwrite" in error


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["--material", "nylonn"], ["nylonn", "nylon"]),
        (["--material", "unobtainium"], ["unobtainium"]),
        (["--material", "C8H8"], ["C8H8", "density"]),
        (["--material", "C8H8", "--density", "-1"], ["density", "> 0", "-1"]),
        (["--geometry", "spere"], ["spere", "'sphere'"]),
        (["--setup", "imbl-28kv"], ["imbl-28kv", "imbl-28kev"]),
        (["--setup", "none.toml"], ["none.toml", "No such file"]),
        (["--set", "detector.row=64"], ["detector.row", "detector.rows"]),
        (["--set", "detector.rows=6"], ["detector.rows", ">= 16", "6"]),
        (["--set", "rows"], ["SECTION.KEY=VALUE", "rows"]),
        (["--photons", "0"], ["photons_per_pixel", "> 0", "0.0"]),
        (["--photons", "nan"], ["photons_per_pixel", "nan"]),
        (["--photons", "1e300"], []),
        (["-o", "missing/x.h5"], ["missing"]),
        (["--reference", "none.tif"], ["none.tif", "No such file"]),
        (["--reference", "none.png"], ["none.png", "TIFF"]),
        (["-o", "."], ["directory"]),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(words, parts, cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    error = cli("generate", "--n", 1, *SETS, "-o", "x.h5", *words).error
    for part in parts:
        assert part in error
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    "words",
    [
        ["--n", "0"],
        ["--n", "-5"],
        ["--n", "many"],
        ["--workers", "0"],
        ["--steps", "0"],
        ["--seed", "-1"],
        ["--split", "test"],
        ["--compression", "zip"],
        ["--propagation", "light"],
        ["--photons", "many"],
        ["--photon", "many"],
        ["--resume", "--overwrite"],
        ["--scheduler", "tcp://127.0.0.1:9", "--workers", "2"],
        ["--scheduler", "tcp://127.0.0.1:9", "--shard", "1/2"],
        ["--shard", "0/2"],
        ["--shard", "3/2"],
        ["--shard", "2"],
        ["--dark", "dark.tif"],
        ["--flat", "flat.tif"],
        ["--material", "mixed", "--density", "2"],
        ["stray"],
    ],
)
def test_wrong_usage_is_status_2(words, cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = cli("generate", *SETS, *words)
    assert done.status == 2
    assert "Usage: specksim generate" in done.err
    assert words[-1] in done.err or words[0] in done.err
    assert "Traceback" not in done.err
    assert names(tmp_path) == []


def test_too_little_room_is_one_line(cli, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    assert "not enough room" in cli("generate", "--n", 1, *SETS, "-o", tmp_path / "x.h5").error
    assert names(tmp_path) == []


# ---- signals ----------------------------------------------------------------------------------------


def members(group: int) -> list[int]:
    """Living processes of a process group."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, pgrp = path.read_text().rpartition(")")[2].split()[:3]
        except OSError:  # it ended meanwhile
            continue
        if int(pgrp) == group and state not in "ZX":
            found.append(int(path.parent.name))
    return found


def interrupt(command: list[str], folder: Path, number: signal.Signals, whole_group: bool):
    """Status, stderr and leftover processes of a run that gets a signal while two workers write."""
    words = ["generate", "--n", "40000", "--workers", "2", "-o", str(folder / "x.h5"), *SETS]
    words += ["--set", "numerics.pairs_per_field=10000"]
    with subprocess.Popen(
        [*command, *words], stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as running:
        while len(list(folder.glob("*.part"))) < 2 and running.poll() is None:
            time.sleep(0.02)
        time.sleep(0.3)
        (os.killpg if whole_group else os.kill)(running.pid, number)
        error = running.communicate(timeout=60)[1]
    deadline = time.monotonic() + 30
    while members(running.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    left = members(running.pid)
    for member in left:
        os.kill(member, signal.SIGKILL)
    return running.returncode, error, left


@pytest.mark.parametrize(
    ("number", "whole_group"),
    [(signal.SIGINT, True), (signal.SIGINT, False), (signal.SIGTERM, True), (signal.SIGTERM, False)],
)
def test_a_signal_ends_the_run_and_leaves_nothing(number, whole_group, command, tmp_path):
    status, error, left = interrupt(command, tmp_path, number, whole_group)
    assert status == 1
    announcement, *rest = error.split("\n")
    assert "40000 pairs" in announcement
    assert re.fullmatch(
        r"Error: interrupted(: \d+ of \d+ shards are finished, --resume goes on)?\n?",
        "\n".join(rest),
    )
    assert all(re.fullmatch(r".*\.h5\.shard-\d{5}", name) for name in names(tmp_path))
    assert left == []


# ---- a read-only installation and no home -----------------------------------------------------------

_CAPBSET_DROP, _DAC_OVERRIDE = 24, 1


def obey_modes() -> None:
    """Let file modes count for root too, from the next program on (no effect on another user)."""
    if os.geteuid() == 0:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_CAPBSET_DROP, _DAC_OVERRIDE, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "prctl")


@pytest.fixture
def read_only(tmp_path):
    """A folder with a copy of the package in which nobody may write."""
    folder = tmp_path / "site"
    shutil.copytree(
        Path(specksim.__file__).parent, folder / "specksim", ignore=shutil.ignore_patterns("__pycache__")
    )
    everything = [folder, *folder.rglob("*")]
    for path in everything:
        path.chmod(path.stat().st_mode & ~(stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH))
    yield folder
    for path in everything:
        path.chmod(path.stat().st_mode | stat.S_IWUSR)


def test_a_read_only_folder_is_one_line(command, tmp_path):
    folder = tmp_path / "out"
    folder.mkdir(mode=0o555)
    words = ["generate", "--n", "1", *SETS, "-o", str(folder / "x.h5")]
    done = subprocess.run(
        [*command, *words], preexec_fn=obey_modes, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr == f"Error: {folder / 'x.h5.lock'}: Permission denied\n"
    assert names(folder) == []


SCRIPT = """
import os, sys, tempfile
import specksim
for folder in (os.path.dirname(specksim.__file__), os.environ["HOME"]):
    try:
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        continue
    sys.exit(folder + " can be written")
from specksim.cli import main
main()
"""


@pytest.mark.slow
def test_a_read_only_installation_and_no_home(read_only, tmp_path):
    (tmp_path / "out").mkdir()
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("XDG_", "NUMBA_", "MPL", "PYTHON"))
    }
    environment |= {"HOME": str(read_only / "nobody"), "PYTHONPATH": str(read_only)}
    words = ["generate", "--n", "1", *SETS, "-o", str(tmp_path / "out" / "x.h5")]
    made = subprocess.run(
        [sys.executable, "-c", SCRIPT, *words],
        env=environment,
        cwd=tmp_path / "out",  # not the repository, which `-c` would put first
        preexec_fn=obey_modes,
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    assert "1 pair in" in made.stdout
    assert not list(read_only.rglob("__pycache__"))
    with open_dataset(tmp_path / "out" / "x.h5", verify=True) as dataset:
        assert dataset[0].reference.mean() > 100
