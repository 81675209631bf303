"""What /diagnostics says: made from snapshots of the counters."""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

from blazeface_ros.core.pipeline import FrameResult
from blazeface_ros.core.scan import bound
from blazeface_ros.ros.counters import CameraCounts, NetworkStatus
from blazeface_ros.ros.worker import HANG_TIMEOUT_S

#: Seconds without images after which diagnostics warn.
SILENCE_TIMEOUT_S = 2.0
#: Share of a camera's images that may be dropped before diagnostics warn.
MOST_DROPPED = 0.5

OK, WARN, ERROR, STALE = (
    DiagnosticStatus.OK,
    DiagnosticStatus.WARN,
    DiagnosticStatus.ERROR,
    DiagnosticStatus.STALE,
)


def camera_status(
    name: str, topic: str, publishers: int, idle: str, before: CameraCounts, now: CameraCounts
) -> DiagnosticStatus:
    """What to say of a camera.

    Rates are by this machine's clock. Stamps that jump, as those of a bag in a loop, and simulated
    time do not change them.

    Args:
        name: of the status.
        topic: of the images.
        publishers: how many publish on it.
        idle: why no images are received; '' if they are.
        before: the counts at the last report.
        now: the counts.
    """
    seconds = max(now.taken_at - before.taken_at, 1e-3)
    received = now.received - before.received
    processed = now.processed - before.processed
    dropped = now.dropped - before.dropped
    failed = now.unreadable + now.lost - before.unreadable - before.lost
    age = now.taken_at - now.last_arrival
    rate = processed / seconds

    level, message = OK, f'{rate:.1f} images per second'
    if idle:
        message = f'idle: {idle}'
    elif not now.last_arrival or age > SILENCE_TIMEOUT_S:
        level = WARN
        silence = f'no images for {age:.0f} s' if now.last_arrival else 'no images so far'
        message = f'{silence}: {publishers or "no"} publisher(s) on {topic}'
    elif failed:
        level = WARN if processed else ERROR
        message = f'{failed} of {received} images unreadable or lost: the log says why'
    elif dropped > MOST_DROPPED * received:
        level = WARN
        message = (
            f'{dropped} of {received} images dropped for newer ones: the network is slower than '
            'the camera'
        )
    return status(
        name,
        level,
        message,
        {
            'topic': topic,
            'rate received (Hz)': f'{received / seconds:.1f}',
            'rate processed (Hz)': f'{rate:.1f}',
            'age of the last image (s)': f'{age:.1f}' if now.last_arrival else 'none came',
            'received': now.received,
            'processed': now.processed,
            'dropped': now.dropped,
            'throttled': now.throttled,
            'unreadable': now.unreadable,
            'lost': now.lost,
            'faces': now.faces,
            'tiles': _searched(now.last_result),
        },
    )


def _searched(result: FrameResult | None) -> str:
    """Which tiles were searched in the last image."""
    if result is None:
        return 'none so far'
    count, total = len(result.tiles), len(result.plan.tiles)
    text = f'{count} of {total} tiles, for faces from {result.plan.smallest_face:.0f} pixels'
    return f'{text}; each tile within {bound(result.plan)} images' if count < total else text


def network_status(
    name: str, network: NetworkStatus, max_latency: float, failed_callbacks: int
) -> DiagnosticStatus:
    """What to say of the network.

    Args:
        name: of the status.
        network: how it is doing.
        max_latency: seconds from an image to its faces above which to warn; 0: never.
        failed_callbacks: messages and requests that the executor left out (`RobustExecutor`).
    """
    calling = time.monotonic() - network.call_began if network.call else 0.0
    level, message = OK, 'running'
    if calling > HANG_TIMEOUT_S:
        level, message = ERROR, f'{network.call} has been hanging for {calling:.0f} s'
    elif network.failure:
        level, message = ERROR, network.failure
    elif 0 < max_latency < network.latency:
        level = WARN
        message = (
            f'{network.latency * 1e3:.0f} ms from image to faces, more than max_latency '
            f'({max_latency * 1e3:.0f} ms)'
        )
    batches = ', '.join(f'{n} x {size}' for size, n in sorted(network.batches.items()))
    stages = {
        f'{stage} (ms)': f'mean {values.mean():.2f}, p95 {np.percentile(values, 95):.2f}'
        for stage, values in network.stages.items()
        if len(values)
    }
    values = {
        'runs': network.description,
        'batches (count x images)': batches,
        'failed requests': failed_callbacks,
        **stages,
    }
    return status(name, level, message, values, network.description)


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
