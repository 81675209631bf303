"""From an image's stamp to its faces: the node beside a reference node and a bare subscriber.

All run as processes of their own, one setting after the other and in rounds, so that a busy moment
meets them all: the media publisher as the camera, what is measured, and a probe that listens.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, NamedTuple

import cv2
import numpy as np

from blazeface_ros.errors import BackendError, ConfigurationError
from blazeface_ros.lab.benchmark.pictures import Row, scaled_to
from blazeface_ros.models.catalogue import find_model, shared_file
from blazeface_ros.recordings.media import read_picture

COLUMNS = (
    *('what', 'size', 'cameras', 'Fast DDS', 'sent', 'answered', 'dropped'),
    *('median', 'p95', 'network', 'CPU an answer'),
)
PROBE, REFERENCE_NODE = 'lab.benchmark.probe', 'lab.benchmark.reference_node'
#: How often each setting has its turn.
ROUNDS = 3
#: Seconds that a process may take to end.
PATIENCE = 10.0
BARE, REFERENCE, DETECTOR = 'bare subscriber', 'reference node', 'detector node'


class Setting(NamedTuple):
    """One row of the table.

    Attributes:
        what: `BARE`, `REFERENCE` or `DETECTOR`.
        size: of the images, width and height in pixels.
        cameras: how many publish.
        profile: whether all load the package's profile for Fast DDS.
    """

    what: str
    size: tuple[int, int]
    cameras: int
    profile: bool


@dataclass
class Sample:
    """What the probe heard of a setting; see there."""

    latencies: list[float] = field(default_factory=list)
    network: list[float] = field(default_factory=list)
    dropped: int = 0
    cpu: float = 0.0


@dataclass(frozen=True)
class Plan:
    """What is measured.

    Attributes:
        sizes: of the images, width and height in pixels.
        cameras: how many on one node; bare subscriber and reference node have one only.
        rate: of each camera, Hz.
        seconds: of each setting, its `ROUNDS` turns together.
        threads: of the node's network; the reference node leaves it to ONNX Runtime.
        reliability: that the cameras offer, 'reliable' or 'best_effort'.
        queue_size: images of a camera that may wait in the node.
    """

    sizes: list[tuple[int, int]]
    cameras: list[int]
    rate: float
    seconds: float
    threads: int
    reliability: str
    queue_size: int

    def settings(self) -> list[Setting]:
        """All combinations."""
        return [
            Setting(what, size, cameras, profile)
            for size in self.sizes
            for cameras in self.cameras
            for profile in (False, True)
            for what in (BARE, REFERENCE, DETECTOR)
            if what == DETECTOR or cameras == 1
        ]

    @property
    def turn(self) -> float:
        """Seconds of one turn."""
        return self.seconds / ROUNDS

    def turns(self) -> list[Setting]:
        """The settings in rounds."""
        return self.settings() * ROUNDS


def measure(
    plan: Plan, turns: Sequence[Setting], progress: Callable[[], object] = lambda: None
) -> list[Row]:
    """Measure. A reference node that cannot run is told on stderr, and left out.

    Args:
        plan: what is measured.
        turns: of `Plan.turns`.
        progress: is called after each turn.

    Returns:
        A row for each setting: how many images were due, answered, and dropped by the node,
        `median` and `p95` from stamp to answer, `network` as the node tells, and `CPU an answer`:
        that of the node's process (of the bare subscriber's own), all threads, in ms.

    Raises:
        ConfigurationError: if ROS 2 or a file of this package is missing.
        BackendError: if a node of this package, or the probe, fails.
    """
    for module in ('rclpy', 'vision_msgs'):
        if importlib.util.find_spec(module) is None:
            raise ConfigurationError(
                f'--ros needs ROS 2 with vision_msgs, and {module} is missing: source the setup of '
                'ROS, or install it'
            )
    scene, profile = shared_file('pictures/scene.jpg'), shared_file('config/fastdds_images.xml')
    if scene is None or profile is None:
        raise ConfigurationError('pictures/ or config/ is not installed; install the package anew')
    samples = {setting: Sample() for setting in turns}
    left_out = False
    if importlib.util.find_spec('cv_bridge') is None:
        left_out = True
        _tell('cv_bridge is missing (docs/performance.md tells how to install it)')
    with tempfile.TemporaryDirectory() as folder:
        for size in plan.sizes:
            cv2.imwrite(_picture(folder, size), scaled_to(read_picture(scene), *size))
        for setting in turns:
            if not (left_out and setting.what == REFERENCE):
                try:
                    heard = listen(plan, setting, _picture(folder, setting.size), str(profile))
                except _ReferenceEndedError as error:
                    left_out = True
                    _tell(str(error))
                else:
                    samples[setting].latencies += heard.latencies
                    samples[setting].network += heard.network
                    samples[setting].dropped += heard.dropped
                    samples[setting].cpu += heard.cpu
            progress()
    return [
        _row(plan, setting, sample, turns.count(setting))
        for setting, sample in samples.items()
        if not (left_out and setting.what == REFERENCE)
    ]


def _tell(reason: str) -> None:
    print(f'the {REFERENCE} does not take part: {reason}', file=sys.stderr)


def _picture(folder: str, size: tuple[int, int]) -> str:
    return str(Path(folder, f'{size[0]}x{size[1]}.png'))


def listen(plan: Plan, setting: Setting, picture: str, profile: str) -> Sample:
    """One turn of a setting; gives what the probe heard. All processes have ended then.

    Args:
        plan: what is measured.
        setting: whose turn it is.
        picture: the file that the cameras show.
        profile: the file of the profile for Fast DDS.

    Raises:
        BackendError: if a process ends by itself.
    """
    environment = {
        'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
        'ROS_DOMAIN_ID': '86',
        **os.environ,
    }
    for name in ('FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE'):
        environment.pop(name, None)
        if setting.profile:
            environment[name] = profile
    cameras = [f'/camera{i}' for i in range(setting.cameras)]
    images, faces = ([f'{camera}/{name}' for camera in cameras] for name in ('image_raw', 'faces'))
    with contextlib.ExitStack() as stack:
        nodes: list[_Process] = []

        def start(module: str, *words: str) -> _Process:
            return stack.enter_context(_started(environment, module, *words))

        if setting.what == REFERENCE:
            model = find_model('back')[1]
            nodes.append(start(REFERENCE_NODE, str(model), plan.reliability))
        elif setting.what == DETECTOR:
            parameters = _parameters(
                image_topics=f'[{",".join(images)}]',
                face_topics=f'[{",".join(faces)}]',
                threads=plan.threads,
                queue_size=plan.queue_size,
            )
            nodes.append(start('ros.detector_node', *parameters))
        measured = nodes[0].child.pid if nodes else 0
        for camera in cameras:
            parameters = _parameters(
                source=picture, rate=plan.rate, qos_reliability=plan.reliability
            )
            nodes.append(start('ros.media_publisher_node', *parameters, '-r', f'__ns:={camera}'))
        kind, topics = ('faces', faces) if measured else ('images', images)
        words = kind, plan.reliability, str(plan.turn), str(measured), *topics
        probe = start(PROBE, *words)
        printed = None
        while printed is None:
            for node in nodes:
                if node.child.poll() is not None:
                    raise node.failure()
            with contextlib.suppress(subprocess.TimeoutExpired):
                printed, _ = probe.child.communicate(timeout=0.1)
        if probe.child.returncode:
            raise probe.failure()
        return Sample(**json.loads(printed))


def _parameters(**values: object) -> list[str]:
    pairs = (('-p', f'{name}:={value}') for name, value in values.items())
    return ['--ros-args', *(word for pair in pairs for word in pair)]


class _ReferenceEndedError(BackendError):
    """The reference node, which is no part of the package's work, has ended by itself."""


class _Process(NamedTuple):
    """A module of this package as a process, and what it has said on stderr."""

    module: str
    child: subprocess.Popen[str]
    log: IO[str]

    def failure(self) -> BackendError:
        """The error that it has ended by itself."""
        self.log.seek(0)
        said = [line for line in self.log.read().splitlines() if line.strip()]
        reason = said[-1] if said else f'exit code {self.child.returncode}'
        error = _ReferenceEndedError if self.module == REFERENCE_NODE else BackendError
        return error(f'{self.module} ended by itself: {reason}')


@contextlib.contextmanager
def _started(environment: dict[str, str], module: str, *words: str) -> Iterator[_Process]:
    """Run a module of this package as a process, which has ended when this is left."""
    command = [sys.executable, '-m', f'blazeface_ros.{module}', *words]
    child = None
    with tempfile.TemporaryFile('w+') as log:
        try:
            with _interrupts_held_back():
                child = subprocess.Popen(
                    command,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE if module == PROBE else log,
                    stderr=log,
                    text=True,
                )
            yield _Process(module, child, log)
        finally:
            if child is not None:
                _end(child)


@contextlib.contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Let interrupts wait: one amid `Popen` would leave a process behind that nobody knows."""
    came: list[int] = []
    handlers = {
        number: signal.signal(number, lambda number, frame: came.append(number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if came:
            signal.raise_signal(came[0])


def _end(child: subprocess.Popen[str]) -> None:
    child.send_signal(signal.SIGINT)
    try:
        child.communicate(timeout=PATIENCE)
    except BaseException as error:  # it hangs, or Ctrl-C comes once more
        child.kill()
        child.communicate()
        if not isinstance(error, subprocess.TimeoutExpired):
            raise


def _row(plan: Plan, setting: Setting, sample: Sample, turns: int) -> Row:
    answered = len(sample.latencies)
    return {
        'what': setting.what,
        'size': f'{setting.size[0]} x {setting.size[1]}',
        'cameras': setting.cameras,
        'Fast DDS': 'profile' if setting.profile else 'defaults',
        'sent': round(turns * plan.turn * plan.rate * setting.cameras),
        'answered': answered,
        'dropped': sample.dropped if setting.what == DETECTOR else None,
        'median': float(np.median(sample.latencies)) if answered else None,
        'p95': float(np.percentile(sample.latencies, 95)) if answered else None,
        'network': float(np.median(sample.network)) if sample.network else None,
        'CPU an answer': sample.cpu * 1e3 / answered if answered else None,
    }
