"""python -m specksim_train"""

from specksim_train.cli import main

main(prog_name="specksim-train")
