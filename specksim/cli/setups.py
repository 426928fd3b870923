"""specksim setups"""

import click

from specksim.cli.options import load_setup, set_option


@click.command()
@click.argument("name", required=False, metavar="[NAME|FILE.toml]")
@set_option
def setups(name: str | None, assignments: tuple[str, ...]) -> None:
    """List the setups, or print one as TOML that can be edited and given back.

    \b
    specksim setups
    specksim setups imbl-28kev > mine.toml
    specksim generate --setup mine.toml
    """
    if name is not None:
        click.echo(load_setup(name, assignments).to_toml(), nl=False)
        return
    if assignments:
        raise click.UsageError("--set needs the NAME of a setup")
    from specksim.setups import DEFAULT, Setup, presets

    for preset in presets():
        setup = Setup.load(preset)
        default = "  (default)" if preset == DEFAULT else ""
        beam = f"M = {setup.magnification:.3g}" if setup.magnification > 1 else "parallel"
        click.echo(
            f"{preset:<20}{setup.beam.energy_kev:>5g} keV  {beam:<10}"
            f"{setup.propagation.sample_to_detector_m:>5g} m  {setup.detector.pixel_size_um:>5g} µm{default}"
        )
