"""What the node has been doing, for /diagnostics."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

#: Seconds between two warnings of the same kind.
WARNING_PERIOD = 5.0
#: Seconds without images after which a camera is warned about.
SILENT = 2.0
#: Share of a camera's images that may be dropped for newer ones before it is warned about.
MOST_DROPPED = 0.5
#: Samples of each stage that mean and p95 are taken over.
SAMPLES = 200

STAGES = ('wait', 'decode', 'window', 'network', 'merge', 'publish')

OK, WARN, ERROR, STALE = (
    DiagnosticStatus.OK,
    DiagnosticStatus.WARN,
    DiagnosticStatus.ERROR,
    DiagnosticStatus.STALE,
)


class Stages:
    """Durations of the stages an image goes through, over the last images."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seconds: dict[str, deque[float]] = {s: deque(maxlen=SAMPLES) for s in STAGES}
        self.latest = 0.0

    def add(self, **seconds: float) -> None:
        """Take the stages of one batch."""
        with self._lock:
            for stage, duration in seconds.items():
                self._seconds[stage].append(duration)
            self.latest = sum(seconds.values())

    def in_words(self) -> dict[str, str]:
        """Mean and 95th percentile of each stage, in ms."""
        with self._lock:
            samples = {stage: np.array(values) * 1e3 for stage, values in self._seconds.items()}
        return {
            f'{stage} (ms)': f'mean {values.mean():.2f}, p95 {np.percentile(values, 95):.2f}'
            for stage, values in samples.items()
            if len(values)
        }


@dataclass
class CameraCounts:
    """What has become of a camera's images since the node was configured.

    Attributes:
        received: images that came.
        processed: images that were answered.
        dropped: images whose turn never came: a newer one replaced them, or no more were wanted.
        held_back: images left out for `max_rate`.
        unreadable: images that could not be read.
        lost: images lost to a failure of the network, or of publishing their faces, or to the end
            of the work while they were in hand.
        faces: faces found.
        last_arrival: when the last image came (`time.monotonic`), 0 if none has.
        rate_received, rate_processed: per second, over the time between the last two reports.
    """

    received: int = 0
    processed: int = 0
    dropped: int = 0
    held_back: int = 0
    unreadable: int = 0
    lost: int = 0
    faces: int = 0
    last_arrival: float = 0.0
    rate_received: float = 0.0
    rate_processed: float = 0.0

    def __post_init__(self) -> None:
        self._reported = time.monotonic()
        self._before = (0, 0, 0, 0)

    def report(
        self, name: str, topic: str, publishers: int, idle: str, searched: str
    ) -> DiagnosticStatus:
        """What to say of the camera; called once a second.

        Rates are over the clock of this machine: stamps that jump, as of a bag in a loop, and
        simulated time do not touch them.

        Args:
            name: of the status.
            topic: of the images.
            publishers: how many publish on it.
            idle: why no images are taken, '' if they are.
            searched: where in the last image.
        """
        now = time.monotonic()
        failed = self.unreadable + self.lost
        counts = (self.received, self.processed, self.dropped, failed)
        received, processed, dropped, failed = (a - b for a, b in zip(counts, self._before))
        seconds = max(now - self._reported, 1e-3)
        self._before, self._reported = counts, now
        self.rate_received, self.rate_processed = received / seconds, processed / seconds
        age = now - self.last_arrival

        level, message = OK, f'{self.rate_processed:.1f} images a second'
        if idle:
            message = f'idle: {idle}'
        elif not self.last_arrival or age > SILENT:
            level = WARN
            message = (
                f'no images for {age:.0f} s' if self.last_arrival else 'no images so far'
            ) + f': {publishers or "no"} publisher(s) on {topic}'
        elif failed:
            level = WARN if processed else ERROR
            message = f'{failed} of {received} images unreadable or lost: the log says why'
        elif dropped > MOST_DROPPED * received:
            level = WARN
            message = (
                f'{dropped} of {received} images dropped for newer ones: the network is slower '
                'than the camera'
            )
        return status(
            name,
            level,
            message,
            {
                'topic': topic,
                'rate in (Hz)': f'{self.rate_received:.1f}',
                'rate processed (Hz)': f'{self.rate_processed:.1f}',
                'age of the last image (s)': f'{age:.1f}' if self.last_arrival else 'none came',
                'received': self.received,
                'processed': self.processed,
                'dropped': self.dropped,
                'held back': self.held_back,
                'unreadable': self.unreadable,
                'lost': self.lost,
                'faces': self.faces,
                'searched': searched,
            },
        )


def status(
    name: str, level: bytes, message: str, values: Mapping[str, object], hardware_id: str = ''
) -> DiagnosticStatus:
    """Make one entry of a DiagnosticArray."""
    return DiagnosticStatus(
        name=name,
        level=level,
        message=message,
        hardware_id=hardware_id,
        values=[KeyValue(key=key, value=str(value)) for key, value in values.items()],
    )
