"""What both commands have in common: versions, -q, -v, completion, progress."""

import importlib
import io
import json
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import click
import h5py
import numba
import numpy
import pytest

import specksim
from specksim.cli import terminal
from tests.cli.test_help import HEAVY

PROGRAMS = {"specksim": "specksim.cli", "specksim-train": "specksim_train.cli"}
CALLED = """
import json, sys
from importlib import import_module
try:
    import_module(sys.argv[1]).main(args=sys.argv[3:], prog_name=sys.argv[2])
finally:
    print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})), file=sys.stderr)
"""


def called(program, *words):
    words = [sys.executable, "-c", CALLED, PROGRAMS[program], program, *map(str, words)]
    return subprocess.run(words, capture_output=True, text=True)


# ---- versions ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("program", PROGRAMS)
def test_versions_for_a_report_without_loading_all_of_them(program):
    made = called(program, "--version")
    assert made.returncode == 0
    lines = made.stdout.splitlines()
    assert lines[0] == f"{program}, version {specksim.__version__}"
    assert lines[1] == "Python " + ".".join(map(str, sys.version_info[:3]))
    assert {
        f"numpy {numpy.__version__}",
        f"numba {numba.__version__}",
        f"h5py {h5py.__version__}",
    } <= set(lines)
    assert lines[-1].startswith("on ")
    assert sys.platform in lines[-1].lower()
    loaded = set(json.loads(made.stderr.splitlines()[-1]))
    assert not (set(HEAVY) - {"numpy", "h5py"}) & loaded
    assert f"HDF5 {h5py.version.hdf5_version}" in lines


def test_versions_of_the_trainer():
    lines = called("specksim-train", "--version").stdout.splitlines()
    for name in ("keras", "tensorflow", "tensorflow-cpu", "jax"):
        try:
            assert f"{name} {metadata.version(name)}" in lines
        except metadata.PackageNotFoundError:
            assert f"{name} is not installed" in lines


def test_a_package_that_is_not_installed(monkeypatch, cli):
    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    assert "\nnumba is not installed\n" in cli("--version").out


# ---- quiet and verbose ------------------------------------------------------------------------------


@pytest.mark.parametrize("flag", ["-q", "--quiet"])
def test_quiet_hides_notes_and_not_results(flag, monkeypatch, cli, tmp_path, tiny):
    monkeypatch.setattr(importlib.import_module("specksim.cli.generate"), "_ANNOUNCED_SECONDS", 0.0)
    words = ["generate", "--n", 1, "--set", "detector.rows=32", "--set", "detector.columns=32"]
    loud = cli(*words, "-o", tmp_path / "loud.h5")
    assert "1 pair of" in loud.err
    quiet = cli(flag, *words, "-o", tmp_path / "quiet.h5")
    assert (quiet.status, quiet.err) == (0, "")
    assert quiet.out.startswith(f"{tmp_path / 'quiet.h5'}: 1 pair in ")


def test_quiet_leaves_errors(cli, tmp_path):
    assert cli("-q", "info", tmp_path / "none.h5").error.endswith("No such file or directory")


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("quiet", [False, True])
def test_progress_tells_the_time_that_is_left_unless_quiet(quiet, monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    with click.Context(click.Command("any")) as context:
        context.meta["specksim.quiet"] = quiet
        for _ in terminal.progress(range(3), unit="pair", mininterval=0, miniters=1):
            terminal.note("something")
    shown = sys.stderr.getvalue()
    if quiet:
        assert shown == ""
    else:
        assert shown.count("something\n") == 3
        assert "1/3 [00:00<00:00" in shown


def test_no_bar_where_stderr_is_no_terminal(monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert list(terminal.progress(range(3))) == [0, 1, 2]
    assert sys.stderr.getvalue() == ""


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("flag", ["-v", "--verbose"])
def test_verbose_shows_the_traceback_of_an_error(program, flag, tmp_path):
    command = {"specksim": "info", "specksim-train": "models"}[program]
    short = called(program, command, tmp_path / "none").stderr.splitlines()[:-1]
    assert len(short) == 1
    assert short[0].startswith("Error: ")
    made = called(program, flag, command, tmp_path / "none")
    assert made.returncode == 1
    lines = made.stderr.splitlines()[:-1]
    assert lines[0] == "Traceback (most recent call last):"
    assert any(line.strip().startswith("File ") for line in lines)
    assert lines[-1] == short[0]


# ---- completion -------------------------------------------------------------------------------------


def completed(program, *words):
    """What bash offers after these words, by the script that the command prints."""
    installed = Path(sys.executable).with_name(program)
    variable = f"_{program.replace('-', '_').upper()}_COMPLETE"
    environment = {**os.environ, "PATH": f"{installed.parent}{os.pathsep}{os.environ['PATH']}"}
    source = subprocess.run(
        [installed], env={**environment, variable: "bash_source"}, capture_output=True, text=True, check=True
    ).stdout
    asked = (
        f"COMP_WORDS=({program} {' '.join(words)}); COMP_CWORD={len(words)}; "
        f"_{program.replace('-', '_')}_completion {program}; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    )
    made = subprocess.run(
        ["bash", "-c", f"{source}\n{asked}"], env=environment, capture_output=True, text=True
    )
    assert made.stderr == ""
    return made.stdout.split()


@pytest.mark.parametrize(
    ("program", "words", "offered"),
    [
        ("specksim", ["gen"], ["generate"]),
        ("specksim", ["generate", "--sp"], ["--split"]),
        ("specksim", ["generate", "--split", "v"], ["validation"]),
        ("specksim-train", ["ex"], ["export"]),
    ],
)
def test_bash_completes_commands_options_and_choices(program, words, offered):
    assert completed(program, *words) == offered
