"""specksim merge"""

from functools import partial
from pathlib import Path

import click

from specksim.cli.terminal import progress


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
def merge(file: Path) -> None:
    """Merge the shards of a data set that were simulated one by one.

    They are those that `specksim generate --shard I/N` left beside FILE. All must be there; FILE then
    appears, and they are removed. A FILE of fewer pairs of the same request is extended.

    \b
    specksim generate --n 600 -o nylon.h5 --shard 1/2
    specksim generate --n 600 -o nylon.h5 --shard 2/2
    specksim merge nylon.h5
    """
    from specksim.generation import merge_shards

    plan, shards = merge_shards(file, partial(progress, unit="shard"))
    done = f"{shards} shards merged" if shards else "nothing was left to merge"
    click.echo(f"{file}: complete, {plan.n} pairs, {file.stat().st_size / 1e6:.1f} MB; {done}")
