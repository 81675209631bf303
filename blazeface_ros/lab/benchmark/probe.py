"""A program that listens to images or faces, for `blazeface benchmark --ros`.

It prints one line of JSON: `latencies`, the ms from each image's stamp to its answer; `network`,
the ms that the network takes, as the detector node reports it; `dropped`, the number of images
that the detector node dropped; `cpu`, the seconds of CPU time that a process used meanwhile. Faces
are received as bytes, because Python needs 1.5 ms to unpack five faces, which is no part of what
is measured.

Usage: probe.py images|faces RELIABILITY SECONDS PID TOPIC... (PID 0: the probe's own)
"""

import json
import os
import struct
import sys
import time
from pathlib import Path

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
from vision_msgs.msg import Detection2DArray

#: How long after the first answer all processes count as warm.
WARM_UP_S = 2.0
#: How long the first answer may take.
START_TIMEOUT_S = 20.0


def cpu_seconds(pid: int) -> float:
    """The CPU time that a process has used so far."""
    fields = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def main() -> None:
    kind, reliability, seconds, pid = sys.argv[1:5]
    process = int(pid) or os.getpid()
    latencies: list[float] = []
    network: list[float] = []
    dropped: dict[str, int] = {}

    def on_image(message: Image) -> None:
        now, stamp = time.time_ns(), message.header.stamp
        latencies.append((now - stamp.sec * 10**9 - stamp.nanosec) / 1e6)

    def on_faces(message: bytes) -> None:
        now = time.time_ns()
        # The first 4 bytes are the encapsulation, whose second byte tells the byte order. The stamp
        # follows.
        seconds, nanoseconds = struct.unpack_from('<iI' if message[1] else '>iI', message, 4)
        latencies.append((now - seconds * 10**9 - nanoseconds) / 1e6)

    def on_diagnostics(message: DiagnosticArray) -> None:
        for status in message.status:
            values = {value.key: value.value for value in status.values}
            if text := values.get('network (ms)'):  # 'mean 5.31, p95 6.02'
                network.append(float(text.split()[1].rstrip(',')))
            if count := values.get('dropped'):
                dropped[status.name] = int(count)

    rclpy.init()
    node = rclpy.create_node('benchmark_probe')
    images = QoSProfile(depth=1, reliability=ReliabilityPolicy[reliability.upper()])
    for topic in sys.argv[5:]:
        if kind == 'images':
            node.create_subscription(Image, topic, on_image, images)
        else:
            node.create_subscription(Detection2DArray, topic, on_faces, 50, raw=True)
    node.create_subscription(DiagnosticArray, '/diagnostics', on_diagnostics, 10)

    def listen(until: float) -> None:
        while time.monotonic() < until:
            rclpy.spin_once(node, timeout_sec=0.05)

    deadline = time.monotonic() + START_TIMEOUT_S
    while not latencies and time.monotonic() < deadline:
        listen(time.monotonic() + 0.1)
    listen(time.monotonic() + WARM_UP_S)
    latencies.clear()
    network.clear()
    before, dropped_before = cpu_seconds(process), sum(dropped.values())
    listen(time.monotonic() + float(seconds))
    cpu = cpu_seconds(process) - before
    lost = sum(dropped.values()) - dropped_before
    print(json.dumps({'latencies': latencies, 'network': network, 'dropped': lost, 'cpu': cpu}))


if __name__ == '__main__':
    main()
