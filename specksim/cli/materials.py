"""specksim materials"""

import math

import click


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option(
    "--energy",
    "energy_kev",
    type=float,
    default=28.0,
    show_default=True,
    metavar="KEV",
    help="Photon energy, keV.",
)
def materials(names: tuple[str, ...], energy_kev: float) -> None:
    """Print the optical constants of materials.

    NAME is nylon, pmma, al2o3, SiC, a NIST compound name, or a formula with its density (C8H8@1.05).
    β holds the total attenuation: what is lost from a beam at metre distances, scattering included.

    \b
    specksim materials
    specksim materials nylon "Water, Liquid" C8H8@1.05 --energy 52
    """
    from specksim.materials import MATERIALS, find_material, refractive_index, wavenumber_per_m

    k = wavenumber_per_m(energy_kev)
    rows = [("material", "g/cm³", "δ", "β", "μ (1/m)", "phase (rad/µm)", "attenuation (%/mm)")]
    for name in names or (*MATERIALS, "SiC"):
        delta, beta = refractive_index(name, energy_kev)
        lost = -100 * math.expm1(-2e-3 * k * beta)
        rows.append(
            (
                name,
                f"{find_material(name).density_g_cm3:.4g}",
                f"{delta:.4e}",
                f"{beta:.4e}",
                f"{2 * k * beta:.4g}",
                f"{-k * delta * 1e-6:.4g}",
                f"{lost:.3g}",
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    click.echo(f"{energy_kev:g} keV")
    for row in rows:
        cells = [
            row[0].ljust(widths[0]),
            *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)),
        ]
        click.echo("  ".join(cells))
