"""The command `specksim-train`. One module a command, loaded when it is called for: `--help` stays light."""

import os
from typing import Any

import click

from specksim.cli import Commands
from specksim.cli.terminal import common_options
from specksim_train.loading import load_backend

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
    try:
        load_backend()
    except ModuleNotFoundError as error:
        raise click.ClickException(f"this command {error}") from None


@click.group(
    cls=TrainerCommands,
    package="specksim_train.cli",
    summaries=_COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@common_options(
    "specksim-train", ("keras", "tensorflow", "tensorflow-cpu", "jax", "numpy", "scipy", "numba", "h5py")
)
def main() -> None:
    """Train networks that read displacement off one pair of speckle images.

    \b
    specksim-train fit training.h5 --validation validation.h5 --out run
    specksim-train predict reference.tif sample.tif --model run
    """
