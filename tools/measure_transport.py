"""How long images take to become faces on this machine, and how many arrive.

Starts the media publisher and the detector as processes, as Fast DDS carries images by default and
with config/fastdds_images.xml, and prints a table in Markdown: images published, answered, ms from
an image's stamp to its faces (median and 95th percentile), and the detector's CPU time an image.

Usage: measure_transport.py [--seconds 10] [--rate 10] [--threads 1]
"""

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import rclpy
from vision_msgs.msg import Detection2DArray

ROOT = Path(__file__).parents[1]
PROFILE = str(ROOT / 'config' / 'fastdds_images.xml')
SIZES = ((640, 480), (1280, 720), (1920, 1080))


@contextlib.contextmanager
def process(module: str, environment: dict[str, str], *parameters: str) -> Iterator[int]:
    """A node of this package; gives its process id."""
    words = [word for parameter in parameters for word in ('-p', parameter)]
    command = [sys.executable, '-m', f'blazeface_ros.ros.{module}', '--ros-args', *words]
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as child:
        try:
            yield child.pid
        finally:
            child.send_signal(signal.SIGINT)


def cpu_seconds(pid: int) -> float:
    fields = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def measure(
    picture: str, reliability: str, profile: str, options: argparse.Namespace
) -> tuple[int, list[float], float]:
    """Returns images published, latencies of those answered in ms, CPU ms an image."""
    environment = {**os.environ}
    if profile:
        environment['FASTRTPS_DEFAULT_PROFILES_FILE'] = profile
        environment['FASTDDS_DEFAULT_PROFILES_FILE'] = profile
    latencies: list[float] = []

    def on_faces(message: Detection2DArray) -> None:
        stamp = message.header.stamp
        latencies.append(time.time() * 1e3 - stamp.sec * 1e3 - stamp.nanosec / 1e6)

    node = rclpy.create_node('measure_transport')
    subscription = node.create_subscription(Detection2DArray, 'faces', on_faces, 10)
    publisher = (f'source:={picture}', f'rate:={options.rate}', f'qos_reliability:={reliability}')
    with (
        process('detector_node', environment, f'threads:={options.threads}') as detector,
        process('media_publisher_node', environment, *publisher),
    ):

        def listen(seconds: float) -> None:
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                rclpy.spin_once(node, timeout_sec=0.05)

        listen(4)  # until all is connected and warm
        latencies.clear()
        before, begin = cpu_seconds(detector), time.monotonic()
        listen(options.seconds)
        used, seconds = cpu_seconds(detector) - before, time.monotonic() - begin
        answered = list(latencies)
    node.destroy_subscription(subscription)
    node.destroy_node()
    return round(seconds * options.rate), answered, used * 1e3 / max(len(answered), 1)


def main() -> None:
    parser = argparse.ArgumentParser(description='Measure images on their way to faces.')
    parser.add_argument('--seconds', type=float, default=10)
    parser.add_argument('--rate', type=float, default=10)
    parser.add_argument('--threads', type=int, default=1)
    options = parser.parse_args()
    os.environ.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    os.environ.setdefault('ROS_DOMAIN_ID', '86')
    rclpy.init()
    scene = cv2.imread(str(ROOT / 'pictures' / 'scene.jpg'))
    print('| size | publisher | Fast DDS | published | answered | median ms | p95 ms | CPU ms |')
    print('|---|---|---|---|---|---|---|---|')
    with tempfile.TemporaryDirectory() as folder:
        for size in SIZES:
            picture = str(Path(folder, f'{size[0]}.png'))
            cv2.imwrite(picture, cv2.resize(scene, size))
            for reliability in ('reliable', 'best_effort'):
                for name, profile in (('defaults', ''), ('profile', PROFILE)):
                    published, latencies, cpu = measure(picture, reliability, profile, options)
                    median, p95 = np.percentile(latencies or [np.nan], (50, 95))
                    print(
                        f'| {size[0]} x {size[1]} | {reliability} | {name} | {published} | '
                        f'{len(latencies)} | {median:.1f} | {p95:.1f} | {cpu:.1f} |',
                        flush=True,
                    )
    rclpy.shutdown()


if __name__ == '__main__':
    main()
