"""Measures the speed of this package beside its peers. Nothing here is needed to find faces."""
