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
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from tqdm import tqdm

from blazeface_ros.benchmark.pictures import Row, scaled_to
from blazeface_ros.errors import ConfigurationError
from blazeface_ros.media import read_picture
from blazeface_ros.models.catalogue import find_model, shared_file

COLUMNS = (
    *('what', 'size', 'cameras', 'Fast DDS', 'sent', 'answered'),
    *('median', 'p95', 'network', 'CPU an answer'),
)
#: How often each setting has its turn.
ROUNDS = 3
BARE, REFERENCE, DETECTOR = 'bare subscriber', 'reference node', 'detector node'


class Setting(NamedTuple):
    """One row of the table."""

    what: str
    size: tuple[int, int]
    cameras: int
    profile: bool


@dataclass
class Sample:
    """What the probe heard of a setting; see there."""

    latencies: list[float] = field(default_factory=list)
    network: list[float] = field(default_factory=list)
    cpu: float = 0.0


@dataclass(frozen=True)
class Plan:
    """What is measured.

    Attributes:
        sizes: of the images, width and height.
        cameras: how many on one node; bare subscriber and reference node have one only.
        rate: of each camera, Hz.
        seconds: of each setting, all turns together.
        threads: of the node's network; the reference node leaves it to ONNX Runtime.
        reliability: that the cameras offer, 'reliable' or 'best_effort'.
    """

    sizes: list[tuple[int, int]]
    cameras: list[int]
    rate: float
    seconds: float
    threads: int
    reliability: str

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


def measure(plan: Plan) -> list[Row]:
    """Measure.

    Returns:
        A row for each setting: `median` and `p95` from stamp to answer, `network` as the node
        tells, and the CPU time of the node (of the bare subscriber, its own) in ms.

    Raises:
        ConfigurationError: if ROS 2, cv_bridge or a file of this package is missing.
    """
    for module in ('rclpy', 'vision_msgs', 'cv_bridge'):
        if importlib.util.find_spec(module) is None:
            raise ConfigurationError(
                f'--ros needs ROS 2 with vision_msgs, and cv_bridge for the reference node; '
                f'{module} is missing: source the setup of ROS, or install it'
            )
    scene, profile = shared_file('pictures/scene.jpg'), shared_file('config/fastdds_images.xml')
    if scene is None or profile is None:
        raise ConfigurationError('pictures/ or config/ is not installed; install the package anew')
    samples = {setting: Sample() for setting in plan.settings()}
    with tempfile.TemporaryDirectory() as folder:
        for size in plan.sizes:
            picture = scaled_to(read_picture(scene), *size)
            cv2.imwrite(_picture(folder, size), picture)
        turns = [*samples] * ROUNDS
        for setting in tqdm(turns, disable=not sys.stderr.isatty(), leave=False):
            heard = _listen(plan, setting, _picture(folder, setting.size), str(profile))
            sample = samples[setting]
            sample.latencies += heard.latencies
            sample.network += heard.network
            sample.cpu += heard.cpu
    return [_row(plan, setting, sample) for setting, sample in samples.items()]


def _picture(folder: str, size: tuple[int, int]) -> str:
    return str(Path(folder, f'{size[0]}x{size[1]}.png'))


def _listen(plan: Plan, setting: Setting, picture: str, profile: str) -> Sample:
    """One turn of a setting; gives what the probe heard."""
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

        def start(module: str, *words: str) -> int:
            return stack.enter_context(_process(environment, module, *words))

        measured = 0
        if setting.what == REFERENCE:
            measured = start('benchmark.reference_node', str(find_model('back')[1]))
        elif setting.what == DETECTOR:
            measured = start(
                'ros.detector_node',
                *_parameters(
                    image_topics=f'[{",".join(images)}]',
                    face_topics=f'[{",".join(faces)}]',
                    threads=plan.threads,
                ),
            )
        for camera in cameras:
            start(
                'ros.media_publisher_node',
                *_parameters(source=picture, rate=plan.rate, qos_reliability=plan.reliability),
                *('-r', f'__ns:={camera}'),
            )
        bare = setting.what == BARE
        probe = [
            *(sys.executable, '-m', 'blazeface_ros.benchmark.probe'),
            *('images' if bare else 'faces', plan.reliability),
            *(str(plan.seconds / ROUNDS), str(measured), *(images if bare else faces)),
        ]
        printed = subprocess.run(
            probe, env=environment, stdout=subprocess.PIPE, text=True, check=True
        )
    return Sample(**json.loads(printed.stdout))


def _parameters(**values: object) -> list[str]:
    pairs = (('-p', f'{name}:={value}') for name, value in values.items())
    return ['--ros-args', *(word for pair in pairs for word in pair)]


@contextlib.contextmanager
def _process(environment: dict[str, str], module: str, *words: str) -> Iterator[int]:
    """A module of this package as a process; gives its process id."""
    command = [sys.executable, '-m', f'blazeface_ros.{module}', *words]
    with (
        tempfile.TemporaryFile('w+') as log,
        subprocess.Popen(command, env=environment, stderr=log) as child,
    ):
        try:
            yield child.pid
        finally:
            if (code := child.poll()) is not None:
                log.seek(0)
                last = (log.read().splitlines() or [f'exit code {code}'])[-1]
                tqdm.write(f'{module} ended by itself: {last}', sys.stderr)
            child.send_signal(signal.SIGINT)


def _row(plan: Plan, setting: Setting, sample: Sample) -> Row:
    answered = len(sample.latencies)
    return {
        'what': setting.what,
        'size': f'{setting.size[0]} x {setting.size[1]}',
        'cameras': setting.cameras,
        'Fast DDS': 'profile' if setting.profile else 'defaults',
        'sent': round(plan.seconds * plan.rate * setting.cameras),
        'answered': answered,
        'median': float(np.median(sample.latencies)) if answered else None,
        'p95': float(np.percentile(sample.latencies, 95)) if answered else None,
        'network': float(np.median(sample.network)) if sample.network else None,
        'CPU an answer': sample.cpu * 1e3 / answered if answered else None,
    }
