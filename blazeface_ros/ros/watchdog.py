"""Watching the network: how long its calls take, and ending a search that is no longer wanted."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from blazeface_ros.backends import Backend
from blazeface_ros.errors import BackendError
from blazeface_ros.ros.counters import NetworkCounters

Array = npt.NDArray[np.float32]


class WatchedBackend:
    """A backend whose calls are counted.

    Args:
        inner: what runs the network.
        counters: is told when each call begins and ends.
        is_cancelled: whether no more calls are wanted. A search of many tiles then ends after the
            call in progress.
    """

    def __init__(
        self, inner: Backend, counters: NetworkCounters, is_cancelled: Callable[[], bool]
    ) -> None:
        self.inner = inner
        self.model = inner.model
        self.description = inner.description
        self._counters = counters
        self._is_cancelled = is_cancelled

    def infer(self, batch: Array) -> tuple[Array, Array]:
        """See `Backend.infer`.

        Raises:
            BackendError: if no more calls are wanted.
        """
        if self._is_cancelled():
            raise BackendError('the search was cancelled because the node was deactivated')
        with self._counters.calling():
            return self.inner.infer(batch)

    def close(self) -> None:
        """See `Backend.close`."""
        self.inner.close()
