"""Real nodes in processes of their own, and a camera and listener that talk to them."""

import array
import itertools
import signal
import subprocess
import sys
import time

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
from vision_msgs.msg import Detection2DArray

from blazeface_ros.ros.images import VIEWED

TIMEOUT = 20.0
_numbers = itertools.count()


class NodeProcess:
    """A node of this package, started as a user would.

    Args:
        module: of `blazeface_ros.ros`.
        arguments: after --ros-args.
    """

    def __init__(self, module, *arguments):
        self.namespace = f'/test{next(_numbers)}'
        self._process = subprocess.Popen(
            [
                *(sys.executable, '-u', '-m', f'blazeface_ros.ros.{module}'),
                *('--ros-args', '-r', f'__ns:={self.namespace}', *arguments),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    @property
    def alive(self):
        return self._process.poll() is None

    def interrupt(self):
        """Ctrl-C. Returns the exit code, the seconds it took, and all it printed."""
        begin = time.monotonic()
        self._process.send_signal(signal.SIGINT)
        code, printed = self.wait()
        return code, time.monotonic() - begin, printed

    def wait(self):
        """Wait for it to end by itself. Returns the exit code and all it printed."""
        printed, _ = self._process.communicate(timeout=TIMEOUT)
        return self._process.returncode, printed

    def kill(self):
        if self.alive:
            self._process.kill()
        self._process.communicate()


class Robot:
    """The rest of the robot: publishes images to a node and hears its answers."""

    def __init__(self, namespace):
        self._context = rclpy.Context()
        rclpy.init(context=self._context)
        self.node = rclpy.create_node('robot', namespace=namespace, context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self._cameras = {}
        self.faces = []
        self.node.create_subscription(Detection2DArray, 'faces', self.faces.append, 100)

    def camera(self, reliability=ReliabilityPolicy.RELIABLE, topic='image_raw'):
        """A publisher of images, connected to the node."""
        key = (reliability, topic)
        if key not in self._cameras:
            publisher = self.node.create_publisher(
                Image, topic, QoSProfile(depth=5, reliability=reliability)
            )
            self._cameras[key] = publisher
            self.until(lambda: publisher.get_subscription_count(), 'the node subscribes')
            self.until(
                lambda: self.node.count_publishers('faces'), 'the node offers faces', spin=False
            )
        return self._cameras[key]

    def answer(self, image):
        """What the node said of an image, if it has."""
        return next((m for m in reversed(self.faces) if m.header == image.header), None)

    def ask(self, image, **camera):
        """Publish an image, and again until it is answered. Returns the answer."""
        publisher = self.camera(**camera)
        # The very first images may go before the connection stands on both sides.
        end = time.monotonic() + TIMEOUT
        while not (found := self.answer(image)):
            publisher.publish(image)
            self.spin(0.5, lambda: self.answer(image) is not None)
            assert time.monotonic() < end, f'no answer to {image.encoding} {image.header}'
        return found

    def spin(self, seconds, stop=lambda: False):
        """Let messages come for a time, or until something holds."""
        end = time.monotonic() + seconds
        while not stop() and (left := end - time.monotonic()) > 0:
            self._executor.spin_once(timeout_sec=min(left, 0.05))

    def until(self, condition, what, spin=True):
        """Wait for something to hold; fail with its name otherwise."""
        end = time.monotonic() + TIMEOUT
        while not condition():
            assert time.monotonic() < end, f'never happened: {what}'
            self.spin(0.05)

    def close(self):
        self._executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self._context)


_stamps = itertools.count(1)


def image_message(pixels, encoding='bgr8', padding=0):
    """An image with a header no other one has, its rows padded by some bytes of rubbish."""
    rows = pixels.reshape(pixels.shape[0], -1).view('uint8')
    message = Image(height=pixels.shape[0], width=pixels.shape[1], encoding=encoding)
    message.header.stamp.sec = next(_stamps)
    message.header.stamp.nanosec = 123456789
    message.header.frame_id = 'camera_optical_frame'
    message.step = rows.shape[1] + padding
    data = b''.join(row.tobytes() + b'\xa5' * padding for row in rows)
    message.data = array.array('B', data)
    assert encoding in VIEWED or padding == 0
    return message
