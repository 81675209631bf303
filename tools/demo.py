"""Shows the detector at work. Detector, media publisher and listener are processes of their own.

Without a source, the media publisher shows the bundled picture, and the demo ends by itself. Its
exit code is 0 only if a face arrived on /faces. With a source, it runs until Ctrl-C.

Usage: demo.py [--source SOURCE] [--detector-parameter NAME:=VALUE …]
"""

import argparse
import os
import signal
import subprocess
import sys
from pathlib import Path

OVERLAY = Path('demo_output') / 'overlay.png'
#: How long a process may take to end before it is killed.
STOP_TIMEOUT_S = 5.0
EXAMPLES = Path(__file__).parents[1] / 'examples'


def start(*command: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, *command])


def main() -> int:
    parser = argparse.ArgumentParser(description='Show the detector at work.')
    parser.add_argument(
        '--source',
        default='',
        help='a picture, folder, video or webcam index (default: the bundled picture)',
    )
    parser.add_argument(
        '--detector-parameter',
        action='append',
        default=[],
        metavar='NAME:=VALUE',
        help='a parameter of the detector node; may be given several times',
    )
    options = parser.parse_args()
    # The demo sends to this machine only, and receives nothing from a robot in the same network.
    os.environ.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    os.environ.setdefault('ROS_DOMAIN_ID', '87')
    print(
        f'Topics: /image_raw, /faces, /faces/overlay on ROS_DOMAIN_ID={os.environ["ROS_DOMAIN_ID"]}'
        f' of this machine; the overlay goes to {OVERLAY}',
        flush=True,
    )
    OVERLAY.unlink(missing_ok=True)
    parameters = [word for given in options.detector_parameter for word in ('-p', given)]
    source = ['-p', f'source:="{options.source}"'] if options.source else []
    ends_by_itself = [] if options.source else ['--count', '5', '--timeout', '30']
    listener = start(str(EXAMPLES / 'face_listener.py'), '--save', str(OVERLAY), *ends_by_itself)
    nodes = [
        start('-m', 'blazeface_ros.ros.detector_node', '--ros-args', *parameters),
        start('-m', 'blazeface_ros.ros.media_publisher_node', '--ros-args', *source),
    ]
    try:
        while listener.poll() is None:
            if any(node.poll() for node in nodes):  # one has failed, and printed the reason
                return 1
            try:
                listener.wait(0.2)
            except subprocess.TimeoutExpired:
                continue
        return listener.returncode
    except KeyboardInterrupt:
        return 0
    finally:
        for process in (listener, *nodes):
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
        for process in (listener, *nodes):
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()


if __name__ == '__main__':
    sys.exit(main())
