"""Real nodes in processes of their own, and a camera and listener that talk to them."""

import array
import itertools
import signal
import subprocess
import sys
import time

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.srv import SetParameters
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
from vision_msgs.msg import Detection2DArray

TIMEOUT = 20.0
_numbers = itertools.count()


class NodeProcess:
    """A node of this package, started as a user would.

    Args:
        module: of `blazeface_ros.ros`.
        arguments: after --ros-args.
        environment: of the process; None: as this one's.
    """

    def __init__(self, module, *arguments, environment=None):
        self.namespace = f'/test{next(_numbers)}'
        self._process = subprocess.Popen(
            [
                *(sys.executable, '-u', '-m', f'blazeface_ros.ros.{module}'),
                *('--ros-args', '-r', f'__ns:={self.namespace}', *arguments),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
        )

    @property
    def pid(self):
        return self._process.pid

    @property
    def alive(self):
        return self._process.poll() is None

    def interrupt(self, times=1):
        """Ctrl-C. Returns the exit code, the seconds it took, and all it printed."""
        begin = time.monotonic()
        for _ in range(times):
            self._process.send_signal(signal.SIGINT)
            time.sleep(0.01)
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

    def __init__(self, namespace, faces=True):
        self._context = rclpy.Context()
        rclpy.init(context=self._context)
        self.node = rclpy.create_node('robot', namespace=namespace, context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self._cameras = {}
        self.faces = []
        self._diagnostics = {}
        if faces:
            self.listen('faces', self.faces.append)
        self.node.create_subscription(DiagnosticArray, '/diagnostics', self._on_diagnostics, 10)

    def listen(self, topic, callback):
        """Hear the faces on a topic."""
        return self.node.create_subscription(Detection2DArray, topic, callback, 100)

    def _on_diagnostics(self, array):
        for status in array.status:
            if f'/{status.name}'.startswith(f'{self.node.get_namespace()}/'):
                name = status.name.partition(': ')[2]
                self._diagnostics[name.removeprefix(f'{self.node.get_namespace()}/')] = status

    def status(self, name):
        """The latest diagnostics of a part: level, message, and values by key."""
        status = self._diagnostics.get(name)
        if status is None:
            return None, '', {}
        return status.level, status.message, {entry.key: entry.value for entry in status.values}

    def count(self, key):
        """A count in the latest diagnostics of the camera, 0 before there are any."""
        return int(self.status('image_raw')[2].get(key, 0))

    def call(self, service_type, name, request):
        """Call a service. Returns the answer and the seconds it took."""
        client = self.node.create_client(service_type, name)
        self.until(client.service_is_ready, f'service {name} is there')
        begin = time.monotonic()
        future = client.call_async(request)
        self.until(future.done, f'service {name} answers')
        seconds = time.monotonic() - begin
        self.node.destroy_client(client)
        return future.result(), seconds

    def change_state(self, transition):
        """Walk one transition of the detector's lifecycle; returns whether it went."""
        request = ChangeState.Request(transition=Transition(id=transition))
        return self.call(ChangeState, 'detector/change_state', request)[0].success

    def set_parameter(self, name, value):
        """Set a parameter of the detector; returns the result."""
        message = Parameter(name, value=value).to_parameter_msg()
        request = SetParameters.Request(parameters=[message])
        return self.call(SetParameters, 'detector/set_parameters', request)[0].results[0]

    def camera(self, reliability=ReliabilityPolicy.RELIABLE, topic='image_raw'):
        """A publisher of images, connected to the node."""
        key = (reliability, topic)
        if key not in self._cameras:
            publisher = self.node.create_publisher(
                Image, topic, QoSProfile(depth=5, reliability=reliability)
            )
            self._cameras[key] = publisher
            # It may subscribe at once, and then once more, as this publisher turns out to offer.
            self.until(
                lambda: any(
                    subscription.qos_profile.reliability == reliability
                    for subscription in self.node.get_subscriptions_info_by_topic(
                        publisher.topic_name
                    )
                ),
                'the node subscribes',
            )
        return self._cameras[key]

    def answer(self, image):
        """What the node said of an image, if it has."""
        return next((m for m in reversed(self.faces) if m.header == image.header), None)

    def ask(self, image, **camera):
        """Publish an image, and again until it is answered. Returns the answer."""
        return self.ask_through(self.camera(**camera), image)

    def ask_through(self, publisher, image):
        """The same through a publisher of the caller's."""
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

    def until(self, condition, what):
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
    rows = np.ascontiguousarray(pixels).reshape(pixels.shape[0], -1).view('uint8')
    message = Image(height=pixels.shape[0], width=pixels.shape[1], encoding=encoding)
    message.header.stamp.sec = next(_stamps)
    message.header.stamp.nanosec = 123456789
    message.header.frame_id = 'camera_optical_frame'
    message.step = rows.shape[1] + padding
    data = b''.join(row.tobytes() + b'\xa5' * padding for row in rows)
    message.data = array.array('B', data)
    return message
