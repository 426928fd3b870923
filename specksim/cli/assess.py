"""specksim assess"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from specksim.cli.terminal import progress

if TYPE_CHECKING:
    from specksim.assessment import Assessment

_MOST_FRAMES = 16


@click.command()
@click.argument("file", metavar="FILE|IMAGE")
@click.option("--dark", metavar="IMAGE", help="Image without beam, subtracted.")
@click.option(
    "--flat", metavar="IMAGE", help="Image of the beam without sandpaper and object; divided by it."
)
@click.option(
    "--gain",
    type=click.FloatRange(min=0, min_open=True),
    metavar="COUNTS",
    help="Counts for each photon. Default: the noise is read from the highest frequencies.",
)
def assess(file: str, dark: str | None, flat: str | None, gain: float | None) -> None:
    """Tell how good a speckle pattern is, and what would make it better.

    FILE is a data set of `specksim generate`, of which the references are looked at; IMAGE is a measured
    reference: TIFF, NumPy or HDF5 (FILE.h5::/path). Of several frames up to 16 are assessed;
    their figures are averaged.

    \b
    specksim assess nylon.h5
    specksim assess reference.tif --dark dark.tif --gain 2.1
    """
    from specksim.assessment import mean_assessment

    if file.lower().endswith((".h5", ".hdf5")):  # without ::/path
        if dark or flat or gain:
            raise click.UsageError("--dark, --flat and --gain go with a measured image, not with a data set")
        found = list(_of_dataset(file))
        noise = "as photon counts have"
    else:
        found = list(_of_images(file, dark, flat, gain))
        noise = (
            f"at {gain:g} counts a photon"
            if gain
            else "power at the highest frequencies; --gain if it is known"
        )
    _print(mean_assessment(found), len(found), noise)


def _of_dataset(file: str) -> "Iterator[Assessment]":
    from specksim.assessment import assess as measure
    from specksim.dataset import open_dataset
    from specksim.dataset.summary import evenly, reference_photons

    try:
        dataset = open_dataset(file)
    except ValueError as error:
        raise ValueError(f"{error}; name measured images as {file}::/path") from None
    with dataset:
        for row in progress(evenly(len(dataset), _MOST_FRAMES), unit="frame"):
            yield measure(*reference_photons(dataset, row))


def _of_images(file: str, dark: str | None, flat: str | None, gain: float | None) -> "Iterator[Assessment]":
    from specksim.assessment import assess as measure
    from specksim.dataset.summary import evenly
    from specksim.images import Correction, open_images

    correction = Correction.read(dark, flat)
    with open_images(file) as images:
        for index in progress(evenly(len(images), _MOST_FRAMES), unit="frame"):
            image = correction.apply(images[index])
            try:
                yield measure(image, gain * float(image.mean()) if gain else None)
            except ValueError as error:
                raise ValueError(f"{file}: frame {index}: {error}") from None


def _print(found: "Assessment", frames: int, noise: str) -> None:
    height, width = found.size_px
    lines = {
        "frames": f"{frames}",
        "mean": f"{found.mean:.5g}",
        "noise": f"{found.noise_variance**0.5:.4g} (standard deviation: {noise})",
        "photons per pixel": f"{found.photons:.4g} (mean² / noise variance)",
        "speckle visibility": f"{found.visibility:.3f} (standard deviation / mean, without noise)",
        "speckle width": f"{height:.2f} × {width:.2f} px (FWHM of the autocorrelation, y × x)",
    }
    for window, (sigma_y, sigma_x) in found.bounds_px.items():
        lines[f"bound, {window} × {window} px"] = f"dx {sigma_x:.2g}, dy {sigma_y:.2g} px"
    column = max(map(len, lines)) + 2
    for name, value in lines.items():
        click.echo(f"{name:<{column}}{value}")
    click.echo("\nbound: the least standard deviation of an unbiased estimate from one pair (Cramér–Rao)")
    for line in found.advice() or ["a good pattern"]:
        click.echo(line)
