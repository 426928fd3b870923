"""Data sets in HDF5: their layout, writing and reading."""

from specksim.dataset.reader import SpeckleDataset, open_dataset

__all__ = ["SpeckleDataset", "open_dataset"]
