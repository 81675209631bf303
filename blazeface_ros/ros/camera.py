"""A subscription to a camera that its publisher's QoS cannot keep from hearing."""

from __future__ import annotations

from collections.abc import Callable

from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image

#: Seconds between two looks at who publishes.
FOLLOW_PERIOD = 0.5


class Camera:
    """Subscribes to a topic of images with the reliability that its publishers offer.

    A reliable subscription does not hear a best-effort publisher at all; a best-effort one loses
    large images wherever they do not fit into shared memory. So it is reliable if every publisher
    offers that, best effort otherwise, and changes when publishers come and go. The depth is 1: an
    image that waited behind another is an old one.

    Args:
        node: to subscribe with.
        topic: of sensor_msgs/Image; may be remapped.
        callback: is given each image.
    """

    def __init__(self, node: Node, topic: str, callback: Callable[[Image], None]) -> None:
        self._node = node
        self._topic = topic
        self._callback = callback
        self._subscribe(ReliabilityPolicy.BEST_EFFORT)
        self._timer = node.create_timer(FOLLOW_PERIOD, self._follow)
        self._follow()

    @property
    def topic(self) -> str:
        """The topic's full name, after remapping."""
        return self._subscription.topic_name

    def _subscribe(self, reliability: ReliabilityPolicy) -> None:
        self._subscription = self._node.create_subscription(
            Image, self._topic, self._callback, QoSProfile(depth=1, reliability=reliability)
        )
        self._reliability = reliability

    def _follow(self) -> None:
        publishers = self._node.get_publishers_info_by_topic(self.topic)
        if not publishers:
            return
        all_reliable = all(
            publisher.qos_profile.reliability == ReliabilityPolicy.RELIABLE
            for publisher in publishers
        )
        offered = ReliabilityPolicy.RELIABLE if all_reliable else ReliabilityPolicy.BEST_EFFORT
        if offered != self._reliability:
            self._node.destroy_subscription(self._subscription)
            self._subscribe(offered)
            self._node.get_logger().info(
                f'{self.topic}: subscribed {offered.name.lower()}, as its publishers offer'
            )

    def close(self) -> None:
        """Take no more images."""
        self._node.destroy_timer(self._timer)
        self._node.destroy_subscription(self._subscription)
