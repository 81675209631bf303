"""Measuring the package beside its peers. Nothing here is needed to find faces."""
