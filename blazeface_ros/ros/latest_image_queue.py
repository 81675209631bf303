"""The seam between two threads: images go from the executor's thread to the worker's."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class QueuedImage:
    """An image that waits for the worker.

    Attributes:
        camera: the name under which its camera is known.
        message: sensor_msgs/Image or CompressedImage.
        arrival: when it came (`time.monotonic`).
    """

    camera: str
    message: Any
    arrival: float


class LatestImageQueue:
    """Holds up to `size` images per camera; a newer one evicts the oldest.

    One image of each camera is taken at once, so a fast camera cannot keep a slow one waiting.

    Args:
        size: images of a camera that may wait; 1: only ever the newest.
    """

    def __init__(self, size: int = 1) -> None:
        self._size = size
        self._changed = threading.Condition()
        self._images: dict[str, deque[QueuedImage]] = {}
        self._closed = False

    def put(self, camera: str, message: Any) -> int:
        """Add an image; never waits. Returns how many images it evicted."""
        image = QueuedImage(camera, message, time.monotonic())
        with self._changed:
            waiting = self._images.setdefault(camera, deque(maxlen=self._size))
            evicted = len(waiting) == self._size
            waiting.append(image)
            self._changed.notify()
        return int(evicted)

    def take(self) -> list[QueuedImage]:
        """Wait for images and take each camera's oldest; none at all once the queue is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or any(self._images.values()))
            cameras = [] if self._closed else self._images.values()
            images = [waiting.popleft() for waiting in cameras if waiting]
        return sorted(images, key=lambda image: image.arrival)

    @property
    def closed(self) -> bool:
        """Whether no more images are wanted."""
        return self._closed

    def discard_pending(self, camera: str) -> int:
        """Drop what a camera has waiting. Returns how many images that were."""
        with self._changed:
            return len(self._images.pop(camera, ()))

    def close(self) -> list[QueuedImage]:
        """End the queue and wake whoever waits. Returns the images that were still waiting."""
        with self._changed:
            self._closed = True
            left = [image for waiting in self._images.values() for image in waiting]
            self._images.clear()
            self._changed.notify_all()
        return left
