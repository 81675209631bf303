"""How many threads help so small a network."""

from __future__ import annotations

import os

#: More than this do not make it faster.
MOST_USEFUL_THREADS = 4


def useful_threads(wanted: int) -> int:
    """The number of threads to use.

    Args:
        wanted: by the user; 0: as many as help, at most one a core that this process may use.
    """
    if wanted:
        return wanted
    cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()
    return min(cores or 1, MOST_USEFUL_THREADS)
