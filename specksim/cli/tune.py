"""specksim tune"""

from typing import TYPE_CHECKING

import click

from specksim.cli.options import load_setup, setup_options

if TYPE_CHECKING:
    from specksim.tuning import Trial


@click.command()
@click.option(
    "--visibility",
    type=float,
    required=True,
    metavar="V",
    help="Standard deviation over mean of the reference, 0..1, without noise.",
)
@setup_options
def tune(visibility: float, setup_source: str, assignments: tuple[str, ...]) -> None:
    """Find the number of sheets of sandpaper that makes a speckle of some visibility.

    Each trial simulates a sandpaper; the last line is what to give to `specksim generate`.

    \b
    specksim tune --visibility 0.3
    specksim tune --visibility 0.2 --setup lab-2m --set diffuser.grain_size_um=125
    """
    from specksim.tuning import tune_sheets

    setup = load_setup(setup_source, assignments)

    def announce(trial: "Trial") -> None:
        if trial.sheets == 1:  # the first
            click.echo("sheets  visibility  width y × x (px)  transmission")
        height, width = trial.width_px
        click.echo(
            f"{trial.sheets:>6}{trial.visibility:>12.3f}{height:>11.2f} × {width:<4.2f}"
            f"{trial.transmission:>14.3f}"
        )

    found = tune_sheets(setup, visibility, announce)
    click.echo(f"--set diffuser.sheets={found.sheets}    visibility {found.visibility:.3f}")
