"""The published data set, and methods compared on data with known truth."""
