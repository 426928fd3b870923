"""The command, called in this process, and a small data set made once."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from specksim import Setup, generate
from specksim.cli import main

TINY = {
    "detector.rows": 32,
    "detector.columns": 32,
    "diffuser.sheets": 1,
    "numerics.pairs_per_field": 3,
}
SETS = [word for key, value in TINY.items() for word in ("--set", f"{key}={value}")]


@dataclass(frozen=True)
class Outcome:
    """What a command left: exit status, standard output, standard error."""

    status: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one line on stderr of a command that failed."""
        assert self.status == 1, self
        lines = self.err.strip().splitlines()
        assert len(lines) == 1, self.err
        assert lines[0].startswith("Error: ")
        return lines[0]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[..., Outcome]]:
    """Run `specksim` with some words."""
    before = signal.getsignal(signal.SIGTERM)

    def run(*words: object) -> Outcome:
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main(args=[str(word) for word in words], prog_name="specksim")
        streams = capsys.readouterr()
        return Outcome(int(end.value.code or 0), streams.out, streams.err)

    yield run
    signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope="session")
def command() -> list[str]:
    """`specksim` as a command of its own."""
    return [sys.executable, "-c", "from specksim.cli import main; main()"]


@pytest.fixture(scope="session")
def process(command: list[str]) -> Callable[..., Outcome]:
    """Run `specksim` with some words as a process of its own."""

    def run(*words: object, **options: object) -> Outcome:
        made = subprocess.run(
            [*command, *(str(word) for word in words)], capture_output=True, text=True, check=False, **options
        )
        return Outcome(made.returncode, made.stdout, made.stderr)

    return run


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four pairs in two shards."""
    setup = Setup().with_values(**{key.replace(".", "__"): value for key, value in TINY.items()})
    return generate(tmp_path_factory.mktemp("tiny") / "tiny.h5", setup, material="al2o3", n=4)
