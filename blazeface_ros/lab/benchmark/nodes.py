"""How long it takes from an image's stamp to its faces, and what that costs, in ROS 2.

The detector node is measured beside a reference node and a bare subscriber of images. Three kinds
of processes take part: the media publisher as the camera, the node that is measured, and a probe
that listens to its answers. All settings are measured one after another, in several rounds, so
that a busy moment of the machine affects all of them.
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
from blazeface_ros.lab.benchmark.contenders import STOP_TIMEOUT_S
from blazeface_ros.lab.benchmark.pictures import Row, scaled_to
from blazeface_ros.models.catalogue import find_model, shared_file
from blazeface_ros.recordings.media import read_picture

COLUMNS = (
    *('what', 'size', 'cameras', 'Fast DDS', 'sent', 'answered', 'dropped'),
    *('median', 'p95', 'network', 'CPU ms/image'),
)
#: Modules of this package that run as processes.
PROBE, REFERENCE_NODE = 'lab.benchmark.probe', 'lab.benchmark.reference_node'
#: How often each setting has its turn.
ROUNDS = 3
#: What is measured, as the table calls it.
BARE, REFERENCE, DETECTOR = 'bare subscriber', 'reference node', 'detector node'


class Setting(NamedTuple):
    """One row of the table.

    Attributes:
        what: `BARE`, `REFERENCE` or `DETECTOR`.
        size: width and height of the images in pixels.
        cameras: the number of cameras that publish.
        profile: whether all processes load the package's profile for Fast DDS.
    """

    what: str
    size: tuple[int, int]
    cameras: int
    profile: bool


@dataclass
class Sample:
    """What the probe received in one setting. The attributes are those that the probe prints."""

    latencies: list[float] = field(default_factory=list)
    network: list[float] = field(default_factory=list)
    dropped: int = 0
    cpu: float = 0.0

    def add(self, other: Sample) -> None:
        """Add what was received in another turn of the same setting."""
        self.latencies += other.latencies
        self.network += other.network
        self.dropped += other.dropped
        self.cpu += other.cpu


@dataclass(frozen=True)
class Plan:
    """What is measured.

    Attributes:
        sizes: width and height of the images in pixels.
        cameras: the numbers of cameras on one node. The bare subscriber and the reference node
            are measured with one camera only.
        rate: images per second of each camera.
        seconds: how long each setting is measured, in its `ROUNDS` turns together.
        threads: number of CPU threads for the detector node's network. The reference node leaves
            it to ONNX Runtime.
        reliability: what the cameras offer, 'reliable' or 'best_effort'.
        queue_size: how many images of a camera may wait in the detector node.
    """

    sizes: list[tuple[int, int]]
    cameras: list[int]
    rate: float
    seconds: float
    threads: int
    reliability: str
    queue_size: int

    def settings(self) -> list[Setting]:
        """All combinations that are measured."""
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
        """The length of one turn in seconds."""
        return self.seconds / ROUNDS

    def turns(self) -> list[Setting]:
        """All turns in their order: each setting once in each round."""
        return self.settings() * ROUNDS


def measure(
    plan: Plan, turns: Sequence[Setting], progress: Callable[[], object] = lambda: None
) -> list[Row]:
    """Measure all settings. A reference node that cannot run is reported on stderr and left out.

    Args:
        plan: what is measured.
        turns: what `Plan.turns` gave.
        progress: is called after each turn.

    Returns:
        A row for each setting, by the names in `COLUMNS`: how many images were sent, answered, and
        dropped by the detector node; the median and 95th percentile of the time from stamp to
        answer, in ms; the time of the network as the detector node reports it, in ms; and the CPU
        time of all threads of the measured process for one answered image, in ms.

    Raises:
        ConfigurationError: if ROS 2 or a file of this package is missing.
        BackendError: if a node of this package or the probe ends by itself.
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
    left_out = set()
    if importlib.util.find_spec('cv_bridge') is None:
        left_out.add(REFERENCE)
        _report_left_out('cv_bridge is missing (docs/performance.md tells how to install it)')
    with tempfile.TemporaryDirectory() as folder:
        pictures = {size: str(Path(folder, f'{size[0]}x{size[1]}.png')) for size in plan.sizes}
        for size, file in pictures.items():
            cv2.imwrite(file, scaled_to(read_picture(scene), *size))
        for setting in turns:
            if setting.what not in left_out:
                try:
                    heard = measure_turn(plan, setting, pictures[setting.size], str(profile))
                    samples[setting].add(heard)
                except _ReferenceEndedError as error:
                    left_out.add(REFERENCE)
                    _report_left_out(str(error))
            progress()
    return [
        _row(plan, setting, sample, turns.count(setting))
        for setting, sample in samples.items()
        if setting.what not in left_out
    ]


def _report_left_out(reason: str) -> None:
    print(f'the {REFERENCE} does not take part: {reason}', file=sys.stderr)


def measure_turn(plan: Plan, setting: Setting, picture: str, profile: str) -> Sample:
    """Measure a setting for one turn. All processes have ended when this returns.

    Args:
        plan: what is measured.
        setting: the setting whose turn it is.
        picture: the file that the cameras show.
        profile: the file of the profile for Fast DDS.

    Returns:
        What the probe received.

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
    """The reference node has ended by itself. The measurement can go on without it."""


class _Process(NamedTuple):
    """A module of this package that runs as a process, and the file of its messages."""

    module: str
    child: subprocess.Popen[str]
    log: IO[str]

    def failure(self) -> BackendError:
        """Make the error which tells that the process has ended by itself, and why."""
        self.log.seek(0)
        messages = [line for line in self.log.read().splitlines() if line.strip()]
        reason = messages[-1] if messages else f'exit code {self.child.returncode}'
        error = _ReferenceEndedError if self.module == REFERENCE_NODE else BackendError
        return error(f'{self.module} ended by itself: {reason}')


@contextlib.contextmanager
def _started(environment: dict[str, str], module: str, *words: str) -> Iterator[_Process]:
    """Run a module of this package as a process. It is ended when the context is left."""
    command = [sys.executable, '-m', f'blazeface_ros.{module}', *words]
    child = None
    with tempfile.TemporaryFile('w+') as log:
        try:
            with _interrupts_deferred():
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
def _interrupts_deferred() -> Iterator[None]:
    """Defer interrupts. One inside `Popen` would leave a process behind that nobody ends."""
    received: list[int] = []
    handlers = {
        number: signal.signal(number, lambda number, frame: received.append(number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if received:
            signal.raise_signal(received[0])


def _end(child: subprocess.Popen[str]) -> None:
    child.send_signal(signal.SIGINT)
    try:
        child.communicate(timeout=STOP_TIMEOUT_S)
    except BaseException as error:  # it does not end, or the user presses Ctrl-C once more
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
        'CPU ms/image': sample.cpu * 1e3 / answered if answered else None,
    }
