"""specksim-train models"""

import click

from specksim.cli.terminal import note


@click.command()
@click.argument("folder", type=click.Path(), default=".")
def models(folder: str) -> None:
    """List the shipped networks, and the runs in FOLDER.

    \b
    specksim-train models
    specksim-train models runs/
    """
    from pathlib import Path

    from specksim_train import runs
    from specksim_train.inference import shipped

    where = Path(folder)
    if not where.is_dir():
        raise NotADirectoryError(f"{folder} is not a folder")
    rows = [("shipped", name, path) for name, path in shipped().items()]
    rows += [("run", str(path), path) for path in runs.find_runs(where)]
    if not rows:
        note(f"no shipped networks, and no runs in {folder}")
    for kind, name, path in rows:
        click.echo(f"{kind:<9}{name}  {runs.summary(path)}")
