"""The number of CPU threads that make so small a network faster."""

from __future__ import annotations

import os

#: More threads than this do not make the network faster.
MOST_USEFUL_THREADS = 4


def useful_threads(wanted: int) -> int:
    """The number of threads to use.

    Args:
        wanted: the number the user asked for. 0: as many as make the network faster, and at most
            one for each core that this process may use.
    """
    if wanted:
        return wanted
    cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()
    return min(cores or 1, MOST_USEFUL_THREADS)
