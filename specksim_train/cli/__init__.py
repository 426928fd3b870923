"""The command `specksim-train`. One module a command, loaded when it is called for: `--help` stays light."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import click

from specksim import __version__
from specksim.cli import Commands

_COMMANDS = {
    "fit": "Train a network on data sets, or on pairs simulated as it trains.",
    "reproduce": "Make a network from nothing, by its recipe.",
    "evaluate": "Measure a network's errors on a data set.",
    "predict": "Displacement and phase of measured images.",
    "export": "Write a network as ONNX or SavedModel.",
    "models": "List the shipped networks, and runs in a folder.",
}


class TrainerCommands(Commands):
    """Commands that need Keras and a backend, and say what to install where they are missing."""

    def invoke(self, ctx: click.Context) -> Any:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # before TensorFlow is imported, or not at all
        return super().invoke(ctx)


def require_backend() -> None:
    """Load Keras and its backend; one clear error where the trainer's extra is not installed.

    Raises
    ------
    click.ClickException
        If Keras or its backend is missing.
    """
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    if find_spec("keras") is None or find_spec(backend) is None:
        raise click.ClickException(
            f"this command needs Keras and {backend}: pip install 'specksim[train]'"
            + ("" if backend == "tensorflow" else f", and {backend}")
        )
    with native_chatter_held():
        import_module("keras")


@contextlib.contextmanager
def native_chatter_held() -> Iterator[None]:
    """Keep back what compiled code writes to stderr, and show it if there was an error.

    TensorFlow greets with lines that look like errors on each import, whatever its log level.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(kept, held.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)


@click.group(
    cls=TrainerCommands,
    package="specksim_train.cli",
    summaries=_COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="specksim-train")
def main() -> None:
    """Train networks that read displacement off one pair of speckle images.

    \b
    specksim-train fit training.h5 --validation validation.h5 --out run
    specksim-train predict reference.tif sample.tif --model run
    """
