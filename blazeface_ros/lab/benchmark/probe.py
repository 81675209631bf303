"""Listens to what answers images, for `blazeface benchmark --ros`. Runs by itself.

Prints one line of JSON: `latencies`, ms from an image's stamp to its answer; `network`, ms that the
detector node says its network took; `dropped`, images that it says it dropped; `cpu`, seconds that
a process used meanwhile. Faces are taken as bytes: to unpack those of five faces costs Python 1.5
ms, which is the listener's own.

Usage: probe.py images|faces RELIABILITY SECONDS PID TOPIC... (PID 0: its own)
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

#: Seconds after the first answer until all processes are warm.
WARM_UP = 2.0
#: Seconds until which the first answer must come.
PATIENCE = 20.0


def cpu_seconds(pid: int) -> float:
    """CPU time that a process has used so far."""
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
        # After the encapsulation's 4 bytes, whose second tells the byte order, comes the stamp.
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

    patience = time.monotonic() + PATIENCE
    while not latencies and time.monotonic() < patience:
        listen(time.monotonic() + 0.1)
    listen(time.monotonic() + WARM_UP)
    latencies.clear()
    network.clear()
    before, dropped_before = cpu_seconds(process), sum(dropped.values())
    listen(time.monotonic() + float(seconds))
    cpu = cpu_seconds(process) - before
    lost = sum(dropped.values()) - dropped_before
    print(json.dumps({'latencies': latencies, 'network': network, 'dropped': lost, 'cpu': cpu}))


if __name__ == '__main__':
    main()
