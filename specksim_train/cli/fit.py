"""specksim-train fit"""

import contextlib
import os
import sys
import traceback
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from specksim.cli import EXPECTED, one_line
from specksim.cli.options import load_setup
from specksim.cli.terminal import is_quiet, is_verbose, note
from specksim_train.cli import require_backend

if TYPE_CHECKING:
    from specksim.setups import Setup
    from specksim_train.augmentation import Augmentation
    from specksim_train.simulation import SimulatedPairs


@click.command()
@click.argument("train", nargs=-1, type=click.Path())
@click.option("--validation", type=click.Path(), help="Data set that decides which epoch is best.")
@click.option("--out", required=True, type=click.Path(), help="The run folder.")
@click.option(
    "--architecture",
    type=click.Choice(["guided-unet", "unet"]),
    default="guided-unet",
    show_default=True,
    help="unet: the published one; guided-unet: corrects a windowed estimate made in the graph.",
)
@click.option(
    "--filters",
    type=click.IntRange(min=1),
    default=64,
    show_default=True,
    help="Filters of the first block; 16 is compact.",
)
@click.option(
    "--epochs",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    help="In all; at most, with --stop-after.",
)
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    default=8,
    show_default=True,
    help="Pairs a step, all devices together.",
)
@click.option("--learning-rate", type=float, default=1e-3, show_default=True, help="At the start.")
@click.option(
    "--schedule",
    type=click.Choice(["cosine", "plateau", "constant"]),
    default="cosine",
    show_default=True,
    help="Learning rate over the epochs.",
)
@click.option(
    "--patience",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    help="Epochs without improvement before plateau halves the rate.",
)
@click.option(
    "--stop-after", type=click.IntRange(min=1), help="Stop after so many epochs without improvement."
)
@click.option("--crop", type=click.IntRange(min=16), help="Train on windows of this size, a multiple of 16.")
@click.option(
    "--drift-share",
    type=click.FloatRange(0, 1),
    help="Share of pairs whose sample is cut out some whole pixels beside.  [default: 0.25]",
)
@click.option(
    "--still-share",
    type=click.FloatRange(0, 1),
    help="Share of pairs of which the reference is split in two: no motion.  [default: 0.03]",
)
@click.option(
    "--photons",
    nargs=2,
    type=float,
    metavar="LOW HIGH",
    help="Fresh photon noise: range of mean counts. Default: the noise of the files.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Of weights, order and noise.",
)
@click.option(
    "--simulate",
    metavar="NAME|FILE.toml",
    help="Simulate the pairs as the network trains, in this setup, instead of reading files.",
)
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="KEY=VALUE",
    help="Replace a value of that setup; repeatable.",
)
@click.option("--material", default="mixed", show_default=True, help="Material of simulated objects.")
@click.option(
    "--geometry",
    "geometries",
    multiple=True,
    help="Kind of simulated objects, repeatable. Default: the training four.",
)
@click.option(
    "--drift",
    type=click.FloatRange(0, 1),
    default=0.5,
    show_default=True,
    metavar="SHARE",
    help="Share of the simulated pairs in which beam or detector move too.",
)
@click.option(
    "--pairs", type=click.IntRange(min=1), default=1200, show_default=True, help="Pairs to simulate an epoch."
)
@click.option(
    "--workers", type=click.IntRange(min=1), default=1, show_default=True, help="Processes that simulate."
)
@click.option(
    "--from",
    "from_model",
    metavar="M",
    help="Start from the weights of a run, a .keras file or a shipped network.",
)
@click.option("--resume", is_flag=True, help="Go on after the last finished epoch of the run.")
@click.option(
    "--precision",
    type=click.Choice(["auto", "float32", "mixed"]),
    default="auto",
    show_default=True,
    help="auto: mixed on accelerators. mixed pays on CPUs with instructions for bfloat16 too.",
)
@click.option(
    "--devices",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Devices of this host that share a batch.",
)
@click.option(
    "--hosts",
    metavar="HOST:PORT,…",
    help="Train together with these, each of which runs this command; see docs/several-hosts.md.",
)
@click.option("--host", "index", type=click.IntRange(min=0), help="Which of them this one is, from 0.")
def fit(
    train: tuple[str, ...],
    validation: str | None,
    out: str,
    simulate: str | None,
    assignments: tuple[str, ...],
    material: str,
    geometries: tuple[str, ...],
    drift: float,
    pairs: int,
    workers: int,
    from_model: str | None,
    resume: bool,
    drift_share: float | None,
    still_share: float | None,
    photons: tuple[float, float] | None,
    filters: int,
    hosts: str | None,
    index: int | None,
    **settings: Any,
) -> None:
    """Train a network and leave a run folder.

    \b
    specksim-train fit training.h5 --validation validation.h5 --out run --filters 16
    specksim-train fit --simulate imbl-28kev --workers 4 --validation validation.h5 --out run
    """
    together = hosts is not None or "KERAS_DISTRIBUTION_JOB_ADDRESSES" in os.environ
    _refuse(bool(train), bool(simulate), together, index is not None, **settings)
    if together:
        os.environ.setdefault("KERAS_BACKEND", "jax")
    require_backend()
    from specksim_train import backend, training

    if is_quiet():
        import keras

        keras.config.disable_interactive_logging()  # its own bar of each epoch
    simulated = None
    if simulate:
        setup = load_setup(simulate, assignments)
        simulated = _simulated(setup, pairs, workers, material=material, geometries=geometries, drift=drift)
    augmentation = _augmentation(drift_share=drift_share, still_share=still_share, photons=photons or None)
    host = backend.ALONE
    if together:
        note("waiting until all hosts are here")
        host = backend.join(hosts, index)
    with _leaving_at_once() if together else _interruption_explained():
        run = training.fit(
            train,
            out,
            validation=validation,
            settings=training.Settings(base_filters=filters, augmentation=augmentation, **settings),
            simulate=simulated,
            from_model=from_model,
            resume=resume,
            host=host,
            progress=note,
        )
    click.echo(str(run))


def _refuse(
    files: bool, simulate: bool, together: bool, numbered: bool, *, crop: int | None, devices: int, **_: Any
) -> None:
    """Wrong usage: options that do not go together, or that would be ignored."""
    for refused, why in (
        (files == simulate, "give either training files or --simulate"),
        (
            not simulate and _given("assignments", "material", "geometries", "drift", "pairs", "workers"),
            "--set, --material, --geometry, --drift, --pairs and --workers go with --simulate",
        ),
        (
            simulate and crop,
            "--crop goes with training files; for --simulate set the frame in its setup",
        ),
        (numbered and not together, "--host goes with --hosts"),
        (
            together and devices != 1,
            "--devices goes with one host; several use all of their devices",
        ),
    ):
        if refused:
            raise click.UsageError(why)


@contextlib.contextmanager
def _interruption_explained() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        raise click.ClickException("interrupted: --resume goes on after the last finished epoch") from None


@contextlib.contextmanager
def _leaving_at_once() -> Iterator[None]:
    """End the process on an error: in an orderly exit it waits for the other hosts, and they for it."""
    try:
        yield
    except BaseException as error:
        if is_verbose() or not isinstance(error, (*EXPECTED, KeyboardInterrupt)):
            traceback.print_exc()
        click.echo(f"Error: {one_line(error)}", err=True)
        sys.stderr.flush()
        os._exit(1)


def _given(*names: str) -> bool:
    """Whether any of these options is on the command line."""
    source = click.get_current_context().get_parameter_source
    return any(source(name) == click.core.ParameterSource.COMMANDLINE for name in names)


def _augmentation(**given: Any) -> "Augmentation":
    """What was given, and the rest as it is by default."""
    from specksim_train.augmentation import Augmentation

    return Augmentation(**{name: value for name, value in given.items() if value is not None})


def _simulated(
    setup: "Setup", pairs: int, workers: int, *, material: str, geometries: tuple[str, ...], drift: float
) -> "SimulatedPairs":
    from specksim.phantoms import TRAINING
    from specksim.request import Request
    from specksim_train.simulation import SimulatedPairs

    request = Request.create(setup, material=material, geometries=geometries or TRAINING, drift=drift)
    return SimulatedPairs(request, pairs, workers)
