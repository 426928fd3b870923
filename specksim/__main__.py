"""`python -m specksim` is the command `specksim`."""

from specksim.cli import main

main(prog_name="specksim")
