"""A consumer of /faces: prints each face that arrives, and can save the overlay picture.

Usage: face_listener.py [--count N] [--timeout SECONDS] [--save overlay.png]
Exit code 0 if at least one face arrived (and the overlay, where it is to be saved).
"""

import argparse
import sys
import time
from pathlib import Path

import cv2
import rclpy
from rclpy.executors import ExternalShutdownException
from sensor_msgs.msg import Image
from vision_msgs.msg import Detection2DArray

from blazeface_ros import KEYPOINT_NAMES
from blazeface_ros.ros.images import frame_from_message
from blazeface_ros.ros.messages import from_message


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Print the faces that arrive on /faces.')
    parser.add_argument('--count', type=int, default=0, help='messages to wait for; 0: no end')
    parser.add_argument('--timeout', type=float, default=0, help='seconds at most; 0: no limit')
    parser.add_argument('--save', type=Path, help='keep the latest overlay picture in this file')
    return parser.parse_args(rclpy.utilities.remove_ros_args(sys.argv)[1:])


def main() -> int:
    options = parse_arguments()
    rclpy.init()
    node = rclpy.create_node('face_listener')
    messages = faces_seen = 0
    saved = options.save is None

    def on_faces(message: Detection2DArray) -> None:
        nonlocal messages, faces_seen
        faces = from_message(message)
        messages += 1
        faces_seen += len(faces)
        stamp = message.header.stamp
        print(f'{stamp.sec}.{stamp.nanosec:09d} {message.header.frame_id}: {len(faces)} face(s)')
        for face in faces:
            x0, y0, x1, y1 = face.boxes[0]
            name = f'{face.ids[0]}, ' if face.ids[0] else ''
            print(f'  {name}score {face.scores[0]:.2f}, box {x0:.0f},{y0:.0f} to {x1:.0f},{y1:.0f}')
            for keypoint, (x, y) in zip(KEYPOINT_NAMES, face.keypoints[0]):
                print(f'    {keypoint:17} {x:6.1f} {y:6.1f}')
        sys.stdout.flush()

    def on_overlay(message: Image) -> None:
        nonlocal saved
        options.save.parent.mkdir(parents=True, exist_ok=True)
        saved = cv2.imwrite(str(options.save), frame_from_message(message).pixels)

    node.create_subscription(Detection2DArray, 'faces', on_faces, 10)
    if options.save:
        node.create_subscription(Image, 'faces/overlay', on_overlay, 1)
    end = time.monotonic() + (options.timeout or float('inf'))
    try:
        while time.monotonic() < end:
            if options.count and messages >= options.count and saved:
                break
            rclpy.spin_once(node, timeout_sec=0.5)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    rclpy.try_shutdown()
    if not saved:
        print(f'no overlay picture arrived for {options.save}', file=sys.stderr)
    if not faces_seen:
        print(f'no face arrived in {messages} message(s) on /faces', file=sys.stderr)
    return 0 if faces_seen and saved else 1


if __name__ == '__main__':
    sys.exit(main())
