"""Help, versions and exit statuses of the command as a whole."""

import json
import subprocess
import sys

import pytest

import specksim

COMMANDS = [
    "generate",
    "suite",
    "info",
    "check",
    "retrieve",
    "benchmark",
    "preview",
    "assess",
    "materials",
    "setups",
    "tune",
]
HEAVY = [
    "numpy",
    "scipy",
    "numba",
    "h5py",
    "hdf5plugin",
    "xraylib",
    "matplotlib",
    "tifffile",
    "tensorflow",
    "keras",
]
IMPORTED = """
import json, sys
from specksim.cli import main
try:
    main(args=sys.argv[1:], prog_name="specksim")
finally:
    print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})), file=sys.stderr)
"""


@pytest.mark.parametrize("words", [[], *([name] for name in COMMANDS)])
def test_help_imports_nothing_heavy(words):
    made = subprocess.run(
        [sys.executable, "-c", IMPORTED, *words, "--help"], capture_output=True, text=True, check=True
    )
    imported = json.loads(made.stderr.splitlines()[-1])
    assert "click" in imported
    assert not set(HEAVY) & set(imported)
    assert made.stdout.startswith(f"Usage: specksim {' '.join(words)}")


@pytest.mark.parametrize("package", ["specksim", "specksim_train"])
def test_importing_a_package_imports_nothing_heavy_and_warns_of_nothing(package):
    script = f"import {package}, sys; print(*sys.modules)"
    made = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True)
    assert (made.returncode, made.stderr) == (0, "")
    assert not set(HEAVY) & {name.partition(".")[0] for name in made.stdout.split()}


def test_what_the_package_offers_is_loaded_without_a_warning():
    script = "import specksim; print([getattr(specksim, name) for name in specksim.__all__])"
    made = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True)
    assert (made.returncode, made.stderr) == (0, "")


def test_help_lists_the_commands(cli):
    done = cli("--help")
    assert done.status == 0
    for name in COMMANDS:
        assert f"\n  {name} " in done.out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_an_example_and_a_short_option(name, cli):
    done = cli(name, "-h")
    assert done.status == 0
    assert f"specksim {name}" in done.out.partition("\n")[2]
    assert done.out == cli(name, "--help").out


def test_the_version(cli):
    done = cli("--version")
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith(f"specksim, version {specksim.__version__}\n")


@pytest.mark.parametrize(
    ("word", "nearest"), [("genrate", "generate"), ("setup", "setups"), ("chek", "check")]
)
def test_an_unknown_command_gets_the_nearest(word, nearest, cli):
    done = cli(word)
    assert done.status == 2
    assert f"No such command '{word}'. Did you mean '{nearest}'?" in done.err


def test_an_unknown_command_unlike_any(cli):
    done = cli("zzz", "--n", "3")
    assert done.status == 2
    assert "No such command 'zzz'." in done.err


def test_an_unknown_option_is_wrong_usage(cli):
    done = cli("generate", "--splitt", "training")
    assert done.status == 2
    assert "--split" in done.err


def test_errors_of_a_process_are_one_line_without_a_traceback(process, tmp_path):
    done = process("info", tmp_path / "none.h5")
    assert done.status == 1
    assert done.out == ""
    assert done.err == f"Error: {tmp_path / 'none.h5'}: No such file or directory\n"


def test_a_closed_pipe_is_no_error(command, tiny):
    with subprocess.Popen(
        [*command, "info", tiny], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        running.stdout.close()
        assert running.stderr is not None
        assert "Traceback" not in running.stderr.read()


def test_the_package_names_what_it_offers():
    assert set(specksim.__all__) <= set(dir(specksim))
    assert len(specksim.__all__) <= 10
    for name in specksim.__all__:
        assert getattr(specksim, name).__doc__
        assert name in specksim.__doc__
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        specksim.nonsense  # noqa: B018
