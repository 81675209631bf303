"""Hands the newest frame from the executor's thread to the worker's."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

T = TypeVar('T')


class Mailbox(Generic[T]):
    """Holds one thing at most: what is put in takes the place of what still lies there.

    Attributes:
        replaced: how many things were never taken because a newer one came.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._content: T | None = None
        self._closed = False
        self.replaced = 0

    def put(self, content: T) -> None:
        """Put something in; never waits."""
        with self._changed:
            if self._content is not None:
                self.replaced += 1
            self._content = content
            self._changed.notify()

    def take(self) -> T | None:
        """Wait for something and take it; None once the mailbox is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._content is not None)
            content, self._content = self._content, None
            return None if self._closed else content

    def close(self) -> None:
        """Wake whoever waits, for good."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
