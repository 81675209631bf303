"""The seam between two threads: images go from the executor's thread to the worker's."""

from __future__ import annotations

import math
import os
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: Share of the free memory that waiting images may take, unless the user says otherwise. A robot
#: has other programs, and the middleware holds images as well.
MEMORY_SHARE = 1 / 8
#: Where Linux tells the limit of a container, and what of it is used.
CONTAINER_LIMIT, CONTAINER_USE = (
    Path('/sys/fs/cgroup', name) for name in ('memory.max', 'memory.current')
)


def default_queue_bytes() -> int:
    """Bytes that waiting images may take on this machine, as much of its memory is free now."""
    free = os.sysconf('SC_AVPHYS_PAGES') * os.sysconf('SC_PAGE_SIZE')
    for line in Path('/proc/meminfo').read_text().splitlines():
        if line.startswith('MemAvailable:'):  # more than free pages: files in memory can go
            free = int(line.split()[1]) * 1024
    with suppress(OSError, ValueError):  # there is no container, or it has no limit ("max")
        free = min(free, int(CONTAINER_LIMIT.read_text()) - int(CONTAINER_USE.read_text()))
    return max(int(free * MEMORY_SHARE), 1)


@dataclass(frozen=True)
class QueuedImage:
    """An image that waits for the worker.

    Attributes:
        camera: the name under which its camera is known.
        message: sensor_msgs/Image or CompressedImage.
        arrival: when it came (`time.monotonic`).
        size: of its data, in bytes.
    """

    camera: str
    message: Any
    arrival: float
    size: int


class LatestImageQueue:
    """Holds up to `size` images and `most_bytes` per camera; a newer one evicts the oldest.

    One image of each camera is taken at once, so a fast camera cannot keep a slow one waiting.

    Args:
        size: images of a camera that may wait; 1: only ever the newest.
        most_bytes: that the images of a camera may have together. The newest one may always wait,
            however large it is.
    """

    def __init__(self, size: int = 1, most_bytes: float = math.inf) -> None:
        self._size = size
        self._most_bytes = most_bytes
        self._changed = threading.Condition()
        self._images: dict[str, deque[QueuedImage]] = {}
        self._closed = False

    def put(self, camera: str, message: Any, size: int = 0) -> int:
        """Add an image of so many bytes; never waits. Returns how many images it evicted."""
        image = QueuedImage(camera, message, time.monotonic(), size)
        evicted = 0
        with self._changed:
            waiting = self._images.setdefault(camera, deque())
            total = size + sum(other.size for other in waiting)
            while waiting and (len(waiting) == self._size or total > self._most_bytes):
                total -= waiting.popleft().size
                evicted += 1
            waiting.append(image)
            self._changed.notify()
        return evicted

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
