"""The worker's thread: takes queued images, runs the pipeline on them, and publishes.

The life of a worker:

    RUNNING ──stop()──► STOPPING ──the thread ends──► STOPPED
                           │
                           └──STOP_TIMEOUT_S pass──► ABANDONED

A worker is abandoned if a call of the network hangs. Its thread publishes nothing more. When it
wakes it closes the network and ends.
"""

from __future__ import annotations

import enum
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sensor_msgs.msg import Image

from blazeface_ros.core.detector import FaceDetector
from blazeface_ros.core.frame import Frame
from blazeface_ros.core.pipeline import CameraFrame, FacePipeline, FrameResult
from blazeface_ros.errors import BackendError, BlazeFaceError, ImageError, describe, shortened
from blazeface_ros.ros.counters import CameraCounters, NetworkCounters
from blazeface_ros.ros.face_publisher import FacePublisher
from blazeface_ros.ros.images import read_image
from blazeface_ros.ros.latest_image_queue import LatestImageQueue, QueuedImage
from blazeface_ros.ros.parameters import DetectorParameters, LiveParameters
from blazeface_ros.ros.watchdog import WatchedBackend

#: Failures in a row after which the network is loaded again, once.
FAILURES_BEFORE_RELOAD = 3
#: Seconds between two attempts to load a network that could not be loaded.
LOAD_PERIOD_S = 5.0
#: Seconds after which a call of the network counts as hanging.
HANG_TIMEOUT_S = 3.0
#: Seconds that stopping waits for the network's call in progress.
STOP_TIMEOUT_S = 1.0
#: Seconds between two warnings of the same kind.
WARNING_PERIOD_S = 5.0


class WorkerState(enum.Enum):
    """See the module's text for the transitions."""

    RUNNING = 'running'
    STOPPING = 'stopping'
    STOPPED = 'stopped'
    ABANDONED = 'abandoned'


@dataclass
class WorkerCamera:
    """What the worker needs of a camera.

    Attributes:
        publisher: publishes what is found in them.
        counters: of the camera.
        note: the last note on its tiling plan that was logged.
        next_warning: when a warning may be logged again (`time.monotonic`).
    """

    publisher: FacePublisher
    counters: CameraCounters
    note: str = ''
    next_warning: float = 0.0


class Worker:
    """Processes an image of each camera that has one, as one batch.

    It is made and stopped on the executor's thread. Everything else happens on its own thread,
    which shares with the executor's only the queue, the counters and the parameters.

    Args:
        pipeline: finds the faces. It is the worker's until `stop` gives it back.
        open_detector: loads the network again, if it keeps failing.
        cameras: by their names in the queue.
        queue: where images come from.
        parameters: of the node.
        network: is told how calls, failures and stages go.
        logger: for this thread alone.
        is_alive: whether ROS still runs; publishing fails when it does not.

    Attributes:
        state: where in its life the worker is.
    """

    def __init__(
        self,
        pipeline: FacePipeline,
        open_detector: Callable[[], FaceDetector],
        cameras: Mapping[str, WorkerCamera],
        queue: LatestImageQueue,
        parameters: LiveParameters[DetectorParameters],
        network: NetworkCounters,
        logger: Any,
        is_alive: Callable[[], bool],
    ) -> None:
        self.state = WorkerState.RUNNING
        self._pipeline = pipeline
        self._open_detector = open_detector
        self._cameras = cameras
        self._queue = queue
        self._parameters = parameters
        self._network = network
        self._logger = logger
        self._is_alive = is_alive
        self._failures_in_a_row = 0
        self._load_error: BlazeFaceError | None = None
        self._next_load = 0.0
        self._state_changes = threading.Lock()
        self._watch(pipeline.detector)
        self._thread = threading.Thread(target=self._work, name='detector worker', daemon=True)
        self._thread.start()

    def stop(self) -> FacePipeline | None:
        """Process no more images.

        Returns:
            The pipeline; its detector may be closed. None if the worker had to be abandoned.
        """
        with self._state_changes:
            self.state = WorkerState.STOPPING
        for image in self._queue.close():
            self._cameras[image.camera].counters.add(dropped=1)
        self._thread.join(STOP_TIMEOUT_S)
        with self._state_changes:
            if self.state is not WorkerState.STOPPED:
                self.state = WorkerState.ABANDONED
        if self.state is WorkerState.ABANDONED:
            self._logger.error(
                f'the network has not ended within {STOP_TIMEOUT_S:g} s: its thread is abandoned'
            )
            return None
        detector = self._pipeline.detector
        if isinstance(detector.backend, WatchedBackend):
            detector.backend = detector.backend.inner
        return self._pipeline

    def _work(self) -> None:
        while images := self._queue.take():
            self._process(images)
        with self._state_changes:
            abandoned = self.state is WorkerState.ABANDONED
            if not abandoned:
                self.state = WorkerState.STOPPED
        if abandoned:
            self._close_network()

    def _process(self, images: list[QueuedImage]) -> None:
        """Answer a batch of images. Whatever happens to it must not end the node."""
        begin = time.monotonic()
        parameters = self._parameters.current
        try:
            with self._counting_failures():
                self._ensure_network()
        except Exception as error:
            self._count_lost(images, error)
            return
        readable, frames = self._read(images, parameters)
        if not readable:
            return
        decoded = time.monotonic()
        try:
            results = self._find_faces(readable, frames, parameters)
        except Exception as error:
            self._count_lost(readable, error)
            return
        found = time.monotonic()
        for image, frame, result in zip(readable, frames, results):
            try:
                self._publish(image, frame, result, parameters)
            except Exception as error:  # costs only this camera its answer
                self._count_lost([image], error)
        self._failures_in_a_row = 0
        self._network.set_failure('')
        stages = {
            'wait': begin - min(image.arrival for image in readable),
            'decode': decoded - begin,
            **self._pipeline.stage_seconds,
            'publish': time.monotonic() - found,
        }
        self._network.add_batch(len(readable), stages)
        slowest = self._network.slowest_call()
        if slowest > HANG_TIMEOUT_S:
            self._logger.error(f'the network hung for {slowest:.1f} s; it is loaded again')
            self._close_network()

    def _read(
        self, images: list[QueuedImage], parameters: DetectorParameters
    ) -> tuple[list[QueuedImage], list[Frame]]:
        """The images that can be read, and their frames."""
        readable, frames = [], []
        for image in images:
            camera = self._cameras[image.camera]
            # Small tiles need all pixels, and so does the overlay.
            one_pass = not parameters.smallest_face and not camera.publisher.overlay_wanted
            needed = self._pipeline.detector.model.input_size if one_pass else None
            try:
                with self._network.calling(f'reading an image of {image.camera}'):
                    frame = read_image(image.message, needed, parameters.max_image_pixels)
                frames.append(Frame.from_picture(frame))
                readable.append(image)
            except Exception as error:  # whatever is wrong with an image costs only that image
                self._count_unreadable(camera, image, error)
        return readable, frames

    def _find_faces(
        self, images: list[QueuedImage], frames: list[Frame], parameters: DetectorParameters
    ) -> list[FrameResult]:
        self._pipeline.settings = parameters
        with self._counting_failures():
            results = self._pipeline.process_batch(
                [
                    CameraFrame(frame, stamp_of(image), image.camera)
                    for image, frame in zip(images, frames)
                ]
            )
        if self._queue.closed:
            raise BackendError('the node was deactivated')
        return results

    def _publish(
        self,
        image: QueuedImage,
        frame: Frame,
        result: FrameResult,
        parameters: DetectorParameters,
    ) -> None:
        camera, header = self._cameras[image.camera], image.message.header
        camera.publisher.publish_faces(result.faces, header)
        camera.counters.add_processed(result)
        if result.plan.note != camera.note:
            camera.note = result.plan.note
            if camera.note:
                self._logger.warning(f'{image.camera}: {camera.note}')
        if camera.publisher.overlay_due(parameters.overlay_rate):
            trails = self._pipeline.trails(image.camera) if parameters.tracking else {}
            try:
                camera.publisher.publish_overlay(header, frame, result, trails, parameters)
            except ImageError as error:
                self._warn(image.camera, f'no overlay: {error}')

    # What goes wrong

    def _count_unreadable(self, camera: WorkerCamera, image: QueuedImage, error: Exception) -> None:
        camera.counters.add(unreadable=1)
        message = image.message
        size = ''
        if isinstance(message, Image):
            size = f', {message.width} x {message.height}, step {message.step}'
        kind = message.encoding if isinstance(message, Image) else message.format
        count = camera.counters.snapshot().unreadable
        self._warn(
            image.camera,
            f'cannot read an image ({count} so far; {shortened(kind)!r}{size}, '
            f'{len(message.data)} bytes): {describe(error)}',
        )

    def _warn(self, name: str, sentence: str) -> None:
        """Warn of a camera's image now and then. Each camera has its own period."""
        camera, now = self._cameras[name], time.monotonic()
        if now >= camera.next_warning:
            camera.next_warning = now + WARNING_PERIOD_S
            self._logger.warning(f'{name}: {sentence}')

    def _count_lost(self, images: list[QueuedImage], error: Exception) -> None:
        for image in images:
            self._cameras[image.camera].counters.add(lost=1)
        if self._queue.closed or not self._is_alive():
            return  # interrupted: there is nothing wrong
        self._logger.error(
            f'{len(images)} image(s) lost: {describe(error)}',
            throttle_duration_sec=WARNING_PERIOD_S,
        )

    @contextmanager
    def _counting_failures(self) -> Iterator[None]:
        """Whatever fails in here is a failure of the network."""
        try:
            yield
        except Exception as error:
            self._failures_in_a_row += 1
            if self._failures_in_a_row == FAILURES_BEFORE_RELOAD:
                self._logger.error(
                    f'the network failed {self._failures_in_a_row} times in a row; it is loaded '
                    'again'
                )
                self._close_network()
            if self._failures_in_a_row >= FAILURES_BEFORE_RELOAD:
                self._network.set_failure(
                    f'{self._failures_in_a_row} failures in a row: {describe(error)}'
                )
            raise

    # Loading the network again

    def _ensure_network(self) -> None:
        """Load the network if it was closed, at most every `LOAD_PERIOD_S`."""
        if not self._pipeline.detector.closed:
            return
        now = time.monotonic()
        if self._load_error is not None and now < self._next_load:
            # Without its traceback, which would hold every image that it was raised for.
            raise self._load_error.with_traceback(None)
        self._next_load = now + LOAD_PERIOD_S
        try:
            detector = self._open_detector()
        except BlazeFaceError as error:
            self._load_error = error
            raise
        self._load_error = None
        self._network.set_description(detector.description)
        for camera in self._cameras.values():
            camera.publisher.publish_info(detector)
        self._watch(detector)
        self._pipeline.detector = detector

    def _watch(self, detector: FaceDetector) -> None:
        detector.backend = WatchedBackend(
            detector.backend, self._network, lambda: self._queue.closed
        )

    def _close_network(self) -> None:
        """Close the network; the next image loads it again."""
        try:
            self._pipeline.close()
        except BlazeFaceError as error:
            self._logger.error(f'closing the network failed: {error}')


def stamp_of(image: QueuedImage) -> float:
    """When an image was taken, in seconds; when it came, if its stamp was never set."""
    stamp = image.message.header.stamp
    return stamp.sec + stamp.nanosec * 1e-9 or image.arrival
