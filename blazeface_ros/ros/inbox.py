"""Hands the newest frames from the executor's thread to the worker's."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Generic, TypeVar

Sender = TypeVar('Sender')
Message = TypeVar('Message')


@dataclass(frozen=True)
class Letter(Generic[Sender, Message]):
    """A message, whom it is from, and when it came (`time.monotonic`)."""

    sender: Sender
    message: Message
    arrival: float


class Inbox(Generic[Sender, Message]):
    """Holds one letter a sender: a newer one takes the place of what still lies there.

    All that lies there is taken at once, so a fast sender cannot keep a slow one waiting.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._letters: dict[Sender, Letter[Sender, Message]] = {}
        self._closed = False

    def put(self, sender: Sender, message: Message) -> bool:
        """Put a message in; never waits. Returns whether it took the place of an older one."""
        letter = Letter(sender, message, time.monotonic())
        with self._changed:
            replaced = self._letters.pop(sender, None) is not None
            self._letters[sender] = letter
            self._changed.notify()
        return replaced

    def take(self) -> list[Letter[Sender, Message]]:
        """Wait for letters and take all; none at all once the inbox is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._letters)
            letters = [] if self._closed else list(self._letters.values())
            self._letters.clear()
            return letters

    @property
    def closed(self) -> bool:
        """Whether nobody reads it any more."""
        return self._closed

    def close(self) -> None:
        """Wake whoever waits, for good."""
        with self._changed:
            self._closed = True
            self._letters.clear()
            self._changed.notify_all()
