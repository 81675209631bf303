"""Tests as root see what other users may not do."""

import contextlib
import os

#: The user that owns nothing.
NOBODY = 65534


@contextlib.contextmanager
def without_root():
    """Without root's right to read and write everything, for a while."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(user)
