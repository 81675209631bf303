"""The signals that end a program, caught before anything large is imported."""

from __future__ import annotations

import os
import signal
from functools import cache

#: Upon these the program ends in an orderly way.
ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@cache
def catch_ending_signals() -> int:
    """From now on, write a byte into a pipe for each ending signal, and do nothing else.

    Nothing is interrupted then: no import, no call into ROS and no publishing. Python writes the
    byte also while its main thread waits in a library.

    Returns:
        The file descriptor from which the bytes can be read.
    """
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    for number in ENDING_SIGNALS:
        signal.signal(number, lambda number, frame: None)
    return reading


def ignore_ending_signals() -> None:
    """For the end of a program. When Python ends, it would restore their default, which kills."""
    for number in ENDING_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
