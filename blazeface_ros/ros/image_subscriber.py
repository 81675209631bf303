"""The executor's side of a camera: receives its images and queues them for the worker."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from rclpy.node import Node
from rclpy.qos import ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image

from blazeface_ros.errors import shortened
from blazeface_ros.ros.counters import CameraCounters
from blazeface_ros.ros.latest_image_queue import LatestImageQueue
from blazeface_ros.ros.parameters import DetectorParameters, LiveParameters
from blazeface_ros.ros.qos import RELIABILITIES, image_qos, offered_by_all

if TYPE_CHECKING:  # newer releases of rclpy have it elsewhere
    from rclpy.topic_endpoint_info import TopicEndpointInfo

#: What rmw calls a node whose publishers were discovered before its name.
UNKNOWN_NODE = '_NODE_NAME_UNKNOWN_'


class ImageSubscriber:
    """Subscribes to a camera while it should, with a QoS that fits its publishers.

    All methods are called on the executor's thread.

    Args:
        node: to subscribe with.
        image_topic: of sensor_msgs/Image; may be remapped. The compressed topic is derived from
            the remapped raw topic.
        answer_topics: of the outputs. If the node is lazy, images are only received while somebody
            subscribes to one of them.
        parameters: of the node.
        counters: of the camera.

    Attributes:
        topic: full name of the topic that is subscribed to; also the camera's name.
        idle: why no images are received; '' if they are.
    """

    def __init__(
        self,
        node: Node,
        image_topic: str,
        answer_topics: Iterable[str],
        parameters: LiveParameters[DetectorParameters],
        counters: CameraCounters,
    ) -> None:
        self._node = node
        self._parameters = parameters
        self._counters = counters
        self._answer_topics = [node.resolve_topic_name(topic) for topic in answer_topics]
        self._compressed = parameters.current.image_transport == 'compressed'
        self._kind = CompressedImage if self._compressed else Image
        raw_topic = node.resolve_topic_name(image_topic)
        self._requested_topic = f'{raw_topic}/compressed' if self._compressed else image_topic
        self.topic = node.resolve_topic_name(self._requested_topic)
        self.idle = ''
        self._queue: LatestImageQueue | None = None
        self._subscription: Any = None
        self._reliability = ReliabilityPolicy.BEST_EFFORT
        self._incompatible = ''  # publishers that were warned about
        self._last_slot = -math.inf  # when the last image was let through

    def start(self, queue: LatestImageQueue) -> None:
        """Begin to put images into a queue."""
        self._queue = queue
        self.update_subscription()

    def update_subscription(self) -> None:
        """Subscribe or not, and how, as listeners, publishers and parameters now are."""
        if self._queue is None:
            return
        parameters = self._parameters.current
        if not parameters.enable:
            idle = 'disabled'
        elif parameters.lazy and not self._has_listeners():
            idle = f'nobody listens to {self._answer_topics[0]}'
        else:
            idle = ''
        if idle != self.idle:
            self.idle = idle
            now = f'no images are received: {idle}' if idle else 'images are received'
            self._node.get_logger().info(f'{self.topic}: {now}')
        if idle:
            self._unsubscribe()
            self._counters.add(dropped=self._queue.discard_pending(self.topic))
            return
        reliability = self._choose_reliability(parameters.qos_reliability)
        if self._subscription is None or reliability != self._reliability:
            self._unsubscribe()
            self._reliability = reliability
            self._subscription = self._node.create_subscription(
                self._kind,
                self._requested_topic,
                self._receive,
                image_qos(reliability, parameters.queue_size),
            )

    def stop(self) -> None:
        """Receive no more images until `start` is called again."""
        self._unsubscribe()
        self._queue = None

    def _has_listeners(self) -> bool:
        return any(self._node.count_subscribers(topic) for topic in self._answer_topics)

    def publishers(self) -> list[TopicEndpointInfo]:
        """Who publishes images on the topic. Publishers of another type cannot be received."""
        return [
            publisher
            for publisher in self._node.get_publishers_info_by_topic(self.topic)
            if publisher.topic_type == f'sensor_msgs/msg/{self._kind.__name__}'
        ]

    def _choose_reliability(self, wanted: str) -> ReliabilityPolicy:
        publishers = self.publishers()
        if wanted == 'auto':
            return offered_by_all(publishers) if publishers else self._reliability
        reliability = RELIABILITIES[wanted]
        self._warn_of_incompatible(publishers if reliability == ReliabilityPolicy.RELIABLE else [])
        return reliability

    def _warn_of_incompatible(self, publishers: Iterable[TopicEndpointInfo]) -> None:
        """Warn once of publishers whose images a reliable subscription does not receive."""
        incompatible = shortened(
            ', '.join(
                sorted(
                    f'{publisher.node_namespace}/{publisher.node_name}'.replace('//', '/')
                    for publisher in publishers
                    if publisher.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT
                    and publisher.node_name != UNKNOWN_NODE
                )
            )
        )
        if incompatible and incompatible != self._incompatible:
            self._node.get_logger().warning(
                f'{self.topic}: images of {incompatible} are not received: best_effort is '
                "offered, reliable is requested; set the parameter qos_reliability to 'auto' or "
                "'best_effort'"
            )
        self._incompatible = incompatible

    def _receive(self, message: Any) -> None:
        now = time.monotonic()
        self._counters.add_received(now)
        if (rate := self._parameters.current.max_rate) > 0:
            slot = self._last_slot + 1 / rate
            if now < slot:
                self._counters.add(throttled=1)
                return
            # From one slot to the next, so that the rate does not fall behind because of jitter.
            # A slot that was missed altogether is not made up for.
            self._last_slot = slot if now < slot + 1 / rate else now
        if self._queue is not None:
            evicted = self._queue.put(self.topic, message, len(message.data))
            if evicted:
                self._counters.add(dropped=evicted)

    def _unsubscribe(self) -> None:
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
            self._subscription = None
