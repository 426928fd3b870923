"""The published data set, and what is measured on it."""
