"""Real nodes in processes of their own, and a robot around them that talks to them.

Nothing here depends on how fast the machine is. `TIMEOUT` only bounds tests that fail.
"""

import array
import itertools
import time
from contextlib import ExitStack, contextmanager

import cv2
import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from node_process import TIMEOUT, NodeProcess
from rcl_interfaces.msg import Log
from rcl_interfaces.srv import SetParameters, SetParametersAtomically
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image
from shared import PICTURES
from std_srvs.srv import SetBool
from vision_msgs.msg import Detection2DArray

from blazeface_ros.ros.qos import LATCHED_QOS

#: Seconds after which an image is published again if it may have been lost.
REPEAT_PERIOD = 0.5

#: Services of the detector that can be called.
DETECTOR_SERVICES = {
    'detector/change_state': ChangeState,
    'detector/get_state': GetState,
    'detector/set_parameters': SetParameters,
    'detector/set_parameters_atomically': SetParametersAtomically,
    'detector/enable': SetBool,
}

#: A picture with one face that is quick to send, uint8 [256, 256, 3] bgr.
PORTRAIT = cv2.resize(cv2.imread(str(PICTURES / 'astronaut.png')), (256, 256))

_stamps = itertools.count(1)


def as_arguments(parameters):
    """Parameters such as 'lazy:=false' as the arguments of a node."""
    return [word for parameter in parameters for word in ('-p', parameter)]


class Robot:
    """The rest of the robot: publishes images to a node and hears its answers.

    Args:
        namespace: of the node.
        faces: whether to listen to the faces.
    """

    def __init__(self, namespace, faces=True):
        self._context = rclpy.Context()
        rclpy.init(context=self._context)
        self.node = rclpy.create_node('robot', namespace=namespace, context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self._cameras = {}
        self.faces = []
        self._strangers = []
        self._watching = {}
        self._diagnostics = {}
        self._reports = 0
        self._is_known = False
        self._clients = {
            name: self.node.create_client(kind, name) for name, kind in DETECTOR_SERVICES.items()
        }
        if faces:
            self.listen('faces')
        self.node.create_subscription(DiagnosticArray, '/diagnostics', self._on_diagnostics, 10)
        self.node.create_subscription(Log, '/rosout', self._on_log, LATCHED_QOS)

    def listen(self, topic):
        """Hear the faces on a topic, among all others."""
        return self.node.create_subscription(Detection2DArray, topic, self.faces.append, 100)

    def watch(self, topic, kind=Image):
        """Receive what comes on a topic; returns the list that it is added to."""
        messages = []
        self._watching[id(messages)] = self.node.create_subscription(
            kind, topic, messages.append, 100
        )
        return messages

    def unwatch(self, messages):
        """Receive no more of what `watch` has returned."""
        self.node.destroy_subscription(self._watching.pop(id(messages)))

    def _on_log(self, log):
        self._is_known |= log.name == f'{self.node.get_namespace()}/detector'[1:].replace('/', '.')

    def _on_diagnostics(self, array):
        for status in array.status:
            if f'/{status.name}'.startswith(f'{self.node.get_namespace()}/'):
                self._is_known = True
                self._reports += status.name.endswith(': network')
                name = status.name.partition(': ')[2]
                self._diagnostics[name.removeprefix(f'{self.node.get_namespace()}/')] = status

    def status(self, name):
        """The latest diagnostics of a part: level, message, and values by key."""
        status = self._diagnostics.get(name)
        if status is None:
            return None, '', {}
        return status.level, status.message, {entry.key: entry.value for entry in status.values}

    def wait_for_new_reports(self):
        """Wait until the node has looked around since now, and told what it found."""
        seen = self._reports
        # The next report may have been made already.
        self.until(lambda: self._reports >= seen + 2, 'it reports twice')

    def add_stranger(self, name):
        """Start a node that Fast DDS takes for another process; returns it."""
        context = rclpy.Context()
        rclpy.init(context=context)
        self._strangers.append(context)
        return rclpy.create_node(name, namespace=self.node.get_namespace(), context=context)

    def remove_stranger(self, node):
        """End a node that `add_stranger` has started."""
        node.destroy_node()
        rclpy.shutdown(context=node.context)
        self._strangers.remove(node.context)

    def count(self, key, camera='image_raw'):
        """A count in the latest diagnostics of a camera, 0 before there are any."""
        return int(self.status(camera)[2].get(key, 0))

    def request(self, service_type, name, request):
        """Call one of `DETECTOR_SERVICES`. Returns the answer."""
        future = self.send(service_type, name, request)
        self.until(future.done, f'service {name} answers')
        return future.result()

    def send(self, service_type, name, request):
        """Call one of `DETECTOR_SERVICES`, and do not wait. Returns the future."""
        client = self._clients[name]
        assert client.srv_type is service_type
        self.until(client.service_is_ready, f'service {name} is there')
        # An answer is lost if the node does not know the client yet. What the node publishes comes
        # to subscriptions that were made after the client, and so it knows the client as well.
        self.until(lambda: self._is_known, 'the node knows who asks')
        return client.call_async(request)

    def change_state(self, transition):
        """Walk one transition of the detector's lifecycle; returns whether it went."""
        request = ChangeState.Request(transition=Transition(id=transition))
        return self.request(ChangeState, 'detector/change_state', request).success

    def state(self):
        """The name of the detector's state."""
        answer = self.request(GetState, 'detector/get_state', GetState.Request())
        return answer.current_state.label

    def enable(self, on):
        """Turn the detector on or off; returns whether it took it."""
        return self.request(SetBool, 'detector/enable', SetBool.Request(data=on)).success

    def set_parameter(self, name, value):
        """Set a parameter of the detector; returns the result."""
        message = Parameter(name, value=value).to_parameter_msg()
        request = SetParameters.Request(parameters=[message])
        return self.request(SetParameters, 'detector/set_parameters', request).results[0]

    def set_parameters_at_once(self, **values):
        """Set several parameters of the detector, all or none; returns the result."""
        messages = [Parameter(name, value=v).to_parameter_msg() for name, v in values.items()]
        request = SetParametersAtomically.Request(parameters=messages)
        name = 'detector/set_parameters_atomically'
        return self.request(SetParametersAtomically, name, request).result

    def camera(self, reliability=ReliabilityPolicy.RELIABLE, topic='image_raw'):
        """A publisher of images, to which the node subscribes."""
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

    def ask(self, image, once=False, **camera):
        """Publish an image, and again until it is answered. Returns the answer.

        Args:
            image: the image.
            once: publish it only once. It arrives if the node has answered this camera before.
            camera: arguments for `camera`.
        """
        return self.ask_through(self.camera(**camera), image, once)

    def ask_through(self, publisher, image, once=False):
        """The same through a publisher of the caller's."""
        # The very first images may go before the connection stands on both sides.
        end = time.monotonic() + TIMEOUT
        publish_next = -1.0
        while not (found := self.answer(image)):
            now = time.monotonic()
            assert now < end, f'no answer to an image with {image.header}'
            if publish_next < 0 or (now > publish_next and not once):
                publisher.publish(image)
                publish_next = now + REPEAT_PERIOD
            self.spin_once()
        return found

    def spin_once(self):
        """Let one message come, if there is one soon."""
        self._executor.spin_once(timeout_sec=0.02)

    def until(self, condition, what):
        """Wait for something to hold; fail with its name otherwise."""
        end = time.monotonic() + TIMEOUT
        while not condition():
            assert time.monotonic() < end, f'never happened: {what}'
            self.spin_once()

    def publish_until(self, condition, make_image, what):
        """Publish images over and over until something holds."""
        camera = self.camera()
        self.until(lambda: condition() or camera.publish(make_image()), what)

    def close(self):
        self._executor.shutdown()
        self.node.destroy_node()
        for context in (self._context, *self._strangers):
            rclpy.shutdown(context=context)


@contextmanager
def detector_starter():
    """Gives a function that starts detectors.

    It takes parameters such as 'lazy:=false', `arguments` for the node, and those of `Robot`. It
    returns the node's process and the robot around it. Both end with the context.
    """
    with ExitStack() as started:

        def start(*parameters, arguments=(), **options):
            node = NodeProcess(
                'detector_node', '-p', 'threads:=1', *as_arguments(parameters), *arguments
            )
            started.callback(node.kill)
            if 'autostart:=false' not in parameters:
                node.until_it_logs()
            robot = Robot(node.namespace, **options)
            started.callback(robot.close)
            return node, robot

        yield start


def refusal(*arguments):
    """Start a detector that refuses to; returns the exit code and all it printed."""
    node = NodeProcess('detector_node', *arguments)
    try:
        return node.wait()
    finally:
        node.kill()


def image_message(pixels, encoding='bgr8', padding=0):
    """An image with a header no other one has, its rows padded by some bytes of rubbish."""
    rows = np.ascontiguousarray(pixels).reshape(pixels.shape[0], -1).view('uint8')
    message = Image(height=pixels.shape[0], width=pixels.shape[1], encoding=encoding)
    _stamp(message.header)
    message.step = rows.shape[1] + padding
    data = b''.join(row.tobytes() + b'\xa5' * padding for row in rows)
    message.data = array.array('B', data)
    return message


def compressed_message(data, kind='jpeg'):
    """A compressed image of some bytes, with a header no other one has."""
    message = CompressedImage(format=kind, data=array.array('B', bytes(data)))
    _stamp(message.header)
    return message


def encoded(pixels, suffix='.jpg', quality=95):
    """A picture as a compressed image."""
    data = cv2.imencode(suffix, pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return compressed_message(data.tobytes(), suffix[1:])


def _stamp(header):
    header.stamp.sec = next(_stamps)
    header.stamp.nanosec = 123456789
    header.frame_id = 'camera_optical_frame'


def set_time(message, seconds):
    """Give a message a stamp."""
    message.header.stamp.sec = int(seconds)
    message.header.stamp.nanosec = round(seconds % 1 * 1e9)
    return message


def ids_of(answer):
    return [detection.id for detection in answer.detections]
