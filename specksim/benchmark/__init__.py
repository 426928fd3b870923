"""The published data set."""
