"""The thread that runs the network."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from blazeface_ros.core.detector import FaceDetector
from blazeface_ros.core.scan import Search
from blazeface_ros.core.tiles import Frame
from blazeface_ros.errors import BackendError, BlazeFaceError
from blazeface_ros.ros.camera import Camera
from blazeface_ros.ros.diagnostics import WARNING_PERIOD, Stages
from blazeface_ros.ros.inbox import Inbox, Letter

#: Failures in a row after which the network is loaded anew, once.
FAILURES_BEFORE_REOPENING = 3
#: Seconds between two attempts to load a network that could not be loaded.
OPENING_PERIOD = 5.0
#: Seconds after which a call of the network counts as hanging.
HANGING = 3.0
#: Seconds that stopping waits for the network's call in progress.
PATIENCE = 1.0


class Worker:
    """Takes an image of each camera that has one, runs the network on them together, and publishes.

    Images that wait at the same moment go through the network as one batch.

    Args:
        open_detector: loads the network; called again if it keeps failing.
        detector: the network as it was loaded first.
        settings: the node's parameters; live ones are looked up before each batch.
        stages: is told how long each stage took.
        logger: of the node.
        is_alive: whether ROS still runs; publishing fails when it does not.

    Attributes:
        inbox: where images are put.
        failure: what is wrong with the network at present, '' if nothing.
        batches: how many batches held so many images.
        abandoned: whether it was stopped in vain, as the network hung.
    """

    def __init__(
        self,
        open_detector: Callable[[], FaceDetector],
        detector: FaceDetector,
        settings: Mapping[str, Any],
        stages: Stages,
        logger: Any,
        is_alive: Callable[[], bool],
    ) -> None:
        self.inbox: Inbox[Camera, Any] = Inbox(settings['queue_size'])
        self.failure = ''
        self.batches: dict[int, int] = {}
        self._open_detector = open_detector
        self._detector: FaceDetector | None = detector
        self._settings = settings
        self._stages = stages
        self._logger = logger
        self._is_alive = is_alive
        self._failures_in_a_row = 0
        self._opening_error: BlazeFaceError | None = None
        self._next_opening = 0.0
        self._ending = threading.Lock()
        self._ended = self.abandoned = False
        self._thread = threading.Thread(target=self._work, name='detector worker', daemon=True)
        self._thread.start()

    def put(self, camera: Camera, message: Any) -> None:
        """Hand over an image; never waits."""
        camera.counts.dropped += self.inbox.put(camera, message)

    @property
    def hanging_for(self) -> float:
        """Seconds that the present call of the network has taken, if that is far too long."""
        detector = self._detector
        since = detector.network_since if detector is not None else None
        seconds = 0.0 if since is None else time.monotonic() - since
        return seconds if seconds > HANGING else 0.0

    def stop(self) -> FaceDetector | None:
        """Take no more images.

        Returns:
            The network; None if there is none at present, or if it hangs. Then the thread ends, and
            gives the network back, whenever that wakes; it publishes nothing more.
        """
        for letter in self.inbox.close():
            letter.sender.counts.dropped += 1
        if (detector := self._detector) is not None:
            detector.cancelled = True  # there may be many windows to go
        self._thread.join(PATIENCE)
        with self._ending:
            self.abandoned = not self._ended
        if self.abandoned:
            self._logger.error(
                f'the network has not ended within {PATIENCE:g} s: its thread is left behind'
            )
            return None
        if self._detector is not None:
            self._detector.cancelled = False
        return self._detector

    def forget(self, camera: Camera) -> None:
        """Drop what a camera has waiting."""
        camera.counts.dropped += len(self.inbox.clear(camera))

    def _work(self) -> None:
        while letters := self.inbox.take():
            self._process(letters)
        with self._ending:
            self._ended = True
        if self.abandoned:
            self._reopen()

    def _process(self, letters: list[Letter[Camera, Any]]) -> None:
        try:
            self._answer(letters)
        except Exception as error:  # whatever happens to some images must not end the node
            self._lost(letters, error)

    def _lost(self, letters: list[Letter[Camera, Any]], error: Exception) -> None:
        for letter in letters:
            letter.sender.counts.lost += 1
        if self.inbox.closed or not self._is_alive():
            return  # interrupted: there is nothing wrong
        self._logger.error(
            f'{len(letters)} image(s) lost: {describe(error)}',
            throttle_duration_sec=WARNING_PERIOD,
        )

    def _answer(self, letters: list[Letter[Camera, Any]]) -> None:
        """Answer images; those that cannot be read are taken out of the list."""
        begin = time.monotonic()
        with self._counting_failures():
            detector = self._current_detector()
        frames = []
        for letter in [*letters]:
            try:
                frames.append(Frame.of(letter.sender.read(letter.message, detector)))
            except Exception as error:  # whatever is wrong with one image costs only that one
                letters.remove(letter)
                self._unreadable(letter, error)
        decoded = time.monotonic()
        if not frames:
            return
        with self._counting_failures():
            found = self._search().detect(
                detector,
                frames,
                [letter.sender.stream for letter in letters],
                [seconds_of(letter) for letter in letters],
            )
        if self.inbox.closed:
            raise BackendError('the node was deactivated')
        self.batches[len(frames)] = self.batches.get(len(frames), 0) + 1
        detected = time.monotonic()
        for letter, frame, faces in zip(letters, frames, found):
            try:
                letter.sender.publish(letter.message, frame, faces)
            except Exception as error:  # costs only this camera its answer
                self._lost([letter], error)
        self._failures_in_a_row = 0
        self.failure = ''
        self._stages.add(
            wait=begin - min(letter.arrival for letter in letters),
            decode=decoded - begin,
            publish=time.monotonic() - detected,
            **detector.seconds,
        )
        if detector.slowest > HANGING:
            self._logger.error(f'the network hung for {detector.slowest:.1f} s; it is loaded anew')
            self._reopen()

    def _unreadable(self, letter: Letter[Camera, Any], error: Exception) -> None:
        camera, message = letter.sender, letter.message
        camera.counts.unreadable += 1
        size = (
            f', {message.width} x {message.height}, step {message.step}'
            if hasattr(message, 'step')
            else ''
        )
        kind = getattr(message, 'encoding', None) or getattr(message, 'format', '')
        camera.warn(
            f'cannot read an image ({camera.counts.unreadable} so far; {kind!r}{size}, '
            f'{len(message.data)} bytes): {describe(error)}'
        )

    # The network that fails

    def _current_detector(self) -> FaceDetector:
        if self._detector is None:
            self._detector = self._try_to_open()
        settings = self._settings
        self._detector.set_thresholds(settings['score_threshold'], settings['iou_threshold'])
        self._detector.max_faces = settings['max_faces']
        self._detector.smallest_face = settings['smallest_face']
        return self._detector

    def _search(self) -> Search:
        settings = self._settings
        return Search(
            scan=settings['search'] == 'scan',
            windows_per_frame=settings['windows_per_frame'],
            tracking=settings['tracking'],
            lost_after=settings['track_lost_after'],
            smooth=settings['track_smoothing'],
        )

    def _try_to_open(self) -> FaceDetector:
        if self._opening_error is not None and time.monotonic() < self._next_opening:
            # Without its traceback, which would hold every image that it was raised for.
            raise self._opening_error.with_traceback(None)
        self._next_opening = time.monotonic() + OPENING_PERIOD
        try:
            detector = self._open_detector()
        except BlazeFaceError as error:
            self._opening_error = error
            raise
        self._opening_error = None
        return detector

    @contextmanager
    def _counting_failures(self) -> Iterator[None]:
        """What fails in here is the network's fault."""
        try:
            yield
        except Exception as error:
            self._failed(error)
            raise

    def _failed(self, error: Exception) -> None:
        self._failures_in_a_row += 1
        if self._failures_in_a_row == FAILURES_BEFORE_REOPENING:
            self._logger.error(
                f'the network failed {self._failures_in_a_row} times in a row; it is loaded anew'
            )
            self._reopen()
        if self._failures_in_a_row >= FAILURES_BEFORE_REOPENING:
            self.failure = f'{self._failures_in_a_row} failures in a row: {describe(error)}'

    def _reopen(self) -> None:
        """Give the network back; the next image loads it."""
        detector, self._detector = self._detector, None
        try:
            if detector is not None:
                detector.close()
        except BlazeFaceError as error:
            self._logger.error(f'while giving the network back: {error}')


def seconds_of(letter: Letter[Camera, Any]) -> float:
    """When an image was taken; when it came, if its stamp was never set."""
    stamp = letter.message.header.stamp
    return stamp.sec + stamp.nanosec * 1e-9 or letter.arrival


def describe(error: Exception) -> str:
    """An error as a sentence; of one that nobody planned, its kind too."""
    return str(error) if isinstance(error, BlazeFaceError) else f'{type(error).__name__}: {error}'
