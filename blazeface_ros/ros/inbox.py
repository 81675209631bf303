"""Hands frames from the executor's thread to the worker's, the newest unless told otherwise."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Collection
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
    """Holds so many letters a sender; where there are more, a newer one drives out the oldest.

    One of each sender is taken at once, so a fast sender cannot keep a slow one waiting.

    Args:
        size: letters of a sender that may lie there; 1: only ever the newest.
    """

    def __init__(self, size: int = 1) -> None:
        self._size = size
        self._changed = threading.Condition()
        self._letters: dict[Sender, deque[Letter[Sender, Message]]] = {}
        self._closed = False

    def put(self, sender: Sender, message: Message) -> bool:
        """Put a message in; never waits. Returns whether it drove out an older one."""
        letter = Letter(sender, message, time.monotonic())
        with self._changed:
            waiting = self._letters.setdefault(sender, deque(maxlen=self._size))
            full = len(waiting) == self._size
            waiting.append(letter)
            self._changed.notify()
        return full

    def take(self) -> list[Letter[Sender, Message]]:
        """Wait for letters and take each sender's oldest; none at all once the inbox is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or any(self._letters.values()))
            senders = [] if self._closed else self._letters.values()
            letters = [waiting.popleft() for waiting in senders if waiting]
        return sorted(letters, key=lambda letter: letter.arrival)

    @property
    def closed(self) -> bool:
        """Whether nobody reads it any more."""
        return self._closed

    def clear(self, sender: Sender) -> Collection[Letter[Sender, Message]]:
        """Take out, and give, all letters of a sender."""
        with self._changed:
            return self._letters.pop(sender, ())

    def close(self) -> list[Letter[Sender, Message]]:
        """Wake whoever waits, for good; gives what still lay there."""
        with self._changed:
            self._closed = True
            left = [letter for waiting in self._letters.values() for letter in waiting]
            self._letters.clear()
            self._changed.notify_all()
        return left
