"""What both threads count; each object has a lock, and is read by a snapshot."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from blazeface_ros.core.pipeline import FrameResult

#: The stages of an image's way, in their order.
STAGES = ('wait', 'decode', 'sample', 'network', 'merge', 'track', 'publish')
#: What the worker is busy with while it runs the network.
NETWORK_CALL = 'the network'
#: How many of the last durations of each stage are kept.
SAMPLES = 200


@dataclass(frozen=True)
class CameraCounts:
    """What has become of a camera's images since the node was configured.

    Attributes:
        received: images that came.
        processed: images that were answered.
        dropped: images that were never processed: a newer one evicted them, or no more were wanted.
        throttled: images that were left out because of `max_rate`.
        unreadable: images that could not be read.
        lost: images that were lost because the network failed, because publishing failed, or
            because the node was deactivated while they were processed.
        faces: faces that were published.
        last_arrival: when the last image came (`time.monotonic`); 0 if none has.
        last_result: of the last image that was processed; None if none was.
        taken_at: when this snapshot was taken (`time.monotonic`).
    """

    received: int = 0
    processed: int = 0
    dropped: int = 0
    throttled: int = 0
    unreadable: int = 0
    lost: int = 0
    faces: int = 0
    last_arrival: float = 0.0
    last_result: FrameResult | None = None
    taken_at: float = field(default_factory=time.monotonic)


class CameraCounters:
    """Counts what becomes of a camera's images."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts = CameraCounts()

    def add_received(self, now: float) -> None:
        """Count an image that came at a time of `time.monotonic`."""
        with self._lock:
            received = self._counts.received + 1
            self._counts = replace(self._counts, received=received, last_arrival=now)

    def add_processed(self, result: FrameResult) -> None:
        """Count an image that was answered."""
        with self._lock:
            self._counts = replace(
                self._counts,
                processed=self._counts.processed + 1,
                faces=self._counts.faces + len(result.faces),
                last_result=result,
            )

    def add(
        self, *, dropped: int = 0, throttled: int = 0, unreadable: int = 0, lost: int = 0
    ) -> None:
        """Count images that were not answered."""
        with self._lock:
            self._counts = replace(
                self._counts,
                dropped=self._counts.dropped + dropped,
                throttled=self._counts.throttled + throttled,
                unreadable=self._counts.unreadable + unreadable,
                lost=self._counts.lost + lost,
            )

    def snapshot(self) -> CameraCounts:
        """The counts as they are now."""
        with self._lock:
            return replace(self._counts, taken_at=time.monotonic())


@dataclass(frozen=True)
class NetworkStatus:
    """How the network and its worker are doing.

    Attributes:
        description: what runs the network.
        failure: what is wrong at present; '' if nothing.
        batches: how many batches had so many images, by that number.
        call: what the worker is busy with in a library that may hang; '' if nothing.
        call_began: when that began (`time.monotonic`).
        stages: milliseconds of the last images in each of `STAGES`, float64 [K] each.
        latency: seconds from the arrival of the last image to its published faces.
    """

    description: str = ''
    failure: str = ''
    batches: dict[int, int] = field(default_factory=dict)
    call: str = ''
    call_began: float = 0.0
    stages: dict[str, npt.NDArray[np.float64]] = field(default_factory=dict)
    latency: float = 0.0


class NetworkCounters:
    """Counts calls and failures of the network, and how long the stages take.

    Args:
        description: what runs the network.
    """

    def __init__(self, description: str = '') -> None:
        self._lock = threading.Lock()
        self._description = description
        self._failure = ''
        self._batches: dict[int, int] = {}
        self._call = ''
        self._call_began = 0.0
        self._slowest_call = 0.0
        self._seconds: dict[str, deque[float]] = {s: deque(maxlen=SAMPLES) for s in STAGES}
        self._latency = 0.0

    def slowest_call(self) -> float:
        """Seconds of the slowest call of the network since this was asked last."""
        with self._lock:
            slowest, self._slowest_call = self._slowest_call, 0.0
        return slowest

    @contextmanager
    def calling(self, call: str = NETWORK_CALL) -> Iterator[None]:
        """While the worker is in a library that may hang.

        Args:
            call: what is called, for people.
        """
        with self._lock:
            self._call, self._call_began = call, time.monotonic()
        try:
            yield
        finally:
            with self._lock:
                if call == NETWORK_CALL:
                    duration = time.monotonic() - self._call_began
                    self._slowest_call = max(self._slowest_call, duration)
                self._call = ''

    def set_description(self, description: str) -> None:
        """Say what runs the network now."""
        with self._lock:
            self._description = description

    def set_failure(self, failure: str) -> None:
        """Say what is wrong with the network; '' for nothing."""
        with self._lock:
            self._failure = failure

    def add_batch(self, images: int, stage_seconds: dict[str, float]) -> None:
        """Count a batch that was answered, with the seconds of its stages."""
        with self._lock:
            self._batches[images] = self._batches.get(images, 0) + 1
            for stage, duration in stage_seconds.items():
                self._seconds[stage].append(duration)
            self._latency = sum(stage_seconds.values())

    def snapshot(self) -> NetworkStatus:
        """The status as it is now."""
        with self._lock:
            return NetworkStatus(
                self._description,
                self._failure,
                dict(self._batches),
                self._call,
                self._call_began,
                {stage: np.array(values) * 1e3 for stage, values in self._seconds.items()},
                self._latency,
            )
