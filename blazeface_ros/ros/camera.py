"""One camera: the subscription to its images and the outputs that answer them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from typing import Any

from rclpy.node import Node
from rclpy.qos import ReliabilityPolicy
from rclpy.topic_endpoint_info import TopicEndpointInfo
from sensor_msgs.msg import CompressedImage, Image
from vision_msgs.msg import Detection2DArray, VisionInfo

from blazeface_ros.core.detector import FaceDetector
from blazeface_ros.core.drawing import draw_faces, draw_trails, draw_windows
from blazeface_ros.core.faces import Faces
from blazeface_ros.core.scan import Stream
from blazeface_ros.core.tiles import Frame
from blazeface_ros.errors import ImageError
from blazeface_ros.ros.diagnostics import WARNING_PERIOD, CameraCounts
from blazeface_ros.ros.images import (
    CompressedReader,
    frame_from_message,
    jpeg_from_bgr,
    message_from_bgr,
)
from blazeface_ros.ros.messages import serialize
from blazeface_ros.ros.qos import (
    LATCHED_QOS,
    OVERLAY_QOS,
    RELIABILITIES,
    RESULT_QOS,
    image_qos,
    offered_by_all,
)

#: What rmw calls a node whose endpoints were discovered before its name.
UNKNOWN_NODE = '_NODE_NAME_UNKNOWN_'


class Camera:
    """Subscribes while it should, with a QoS that hears its publishers; publishes what was found.

    Made, followed and closed on the executor's thread; `read` and `publish` are called on the
    worker's.

    Args:
        node: to subscribe and publish with.
        image_topic: of sensor_msgs/Image; may be remapped.
        face_topic: of the faces; the overlay's topics stand below it.
        settings: the node's parameters; live ones are looked up when they are needed.
        on_image: is given the camera and each image.

    Attributes:
        counts: what has happened so far.
        stream: what is known of its images, for the search.
        idle: why no images are taken, '' if they are.
    """

    def __init__(
        self,
        node: Node,
        image_topic: str,
        face_topic: str,
        settings: dict[str, Any],
        on_image: Callable[[Camera, Any], None],
    ) -> None:
        self._node = node
        self._settings = settings
        self._on_image = on_image
        self._compressed = settings['image_transport'] == 'compressed'
        # What stands for the raw topic, as by a remapping, stands for what is derived from it, too.
        raw_topic = node.resolve_topic_name(image_topic)
        self._requested_topic = f'{raw_topic}/compressed' if self._compressed else image_topic
        self._reader = CompressedReader()
        self._subscription: Any = None
        self._reliability = ReliabilityPolicy.BEST_EFFORT
        self._unheard = ''
        # When the last image was accepted, and the last overlay drawn.
        self._slot = self._last_overlay = -math.inf
        self._next_warning = 0.0
        self.idle = ''
        self.topic = node.resolve_topic_name(self._requested_topic)
        self.counts = CameraCounts()
        self.stream = Stream()
        self._noted = ''

        self.faces = node.create_publisher(Detection2DArray, face_topic, RESULT_QOS)
        self._info = node.create_publisher(VisionInfo, f'{face_topic}/vision_info', LATCHED_QOS)
        #: Publishers of the overlay, and what makes their messages of a picture and a header.
        self._overlays: list[tuple[Any, Callable[[Any, Any], Any]]] = []
        if settings['overlay']:
            topic = f'{face_topic}/overlay'
            compressed = f'{topic}/compressed'
            self._overlays = [
                (node.create_publisher(Image, topic, OVERLAY_QOS), message_from_bgr),
                (node.create_publisher(CompressedImage, compressed, OVERLAY_QOS), self._jpeg),
            ]

    def tell(self, info: VisionInfo) -> None:
        """Latch what runs the network."""
        self._info.publish(info)

    # Taking images

    def follow(self) -> None:
        """Subscribe or not, and how, as listeners, publishers and parameters now are."""
        if not self._settings['enable']:
            idle = 'disabled'
        elif self._settings['lazy'] and not self._has_listeners():
            idle = f'nobody listens to {self.faces.topic_name}'
        else:
            idle = ''
        if idle != self.idle:
            self.idle = idle
            now = f'no images are taken: {idle}' if idle else 'images are taken'
            self._node.get_logger().info(f'{self.topic}: {now}')
        if idle:
            self.pause()
            return
        reliability = self._choose_reliability()
        if self._subscription is None or reliability != self._reliability:
            self.pause()
            self._reliability = reliability
            self._subscription = self._node.create_subscription(
                CompressedImage if self._compressed else Image,
                self._requested_topic,
                self._receive,
                image_qos(reliability, self._settings['queue_size']),
            )

    def _has_listeners(self) -> bool:
        return bool(self.faces.get_subscription_count()) or self._overlay_wanted()

    def _choose_reliability(self) -> ReliabilityPolicy:
        publishers = self._node.get_publishers_info_by_topic(self.topic)
        wanted = RELIABILITIES.get(self._settings['qos_reliability'])
        if wanted is None:  # auto
            return offered_by_all(publishers) if publishers else self._reliability
        self._warn_of_unheard(publishers if wanted == ReliabilityPolicy.RELIABLE else [])
        return wanted

    def _warn_of_unheard(self, publishers: Iterable[TopicEndpointInfo]) -> None:
        """Warn once of publishers that a reliable subscription does not hear."""
        unheard = ', '.join(
            sorted(
                f'{publisher.node_namespace}/{publisher.node_name}'.replace('//', '/')
                for publisher in publishers
                if publisher.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT
                and publisher.node_name != UNKNOWN_NODE
            )
        )
        if unheard and unheard != self._unheard:
            self._node.get_logger().warning(
                f'{self.topic}: images of {unheard} are not heard: best_effort is offered, '
                "reliable requested; set the parameter qos_reliability to 'auto' or 'best_effort'"
            )
        self._unheard = unheard

    def pause(self) -> None:
        """Take no images until `follow` is called again."""
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
            self._subscription = None

    def _receive(self, message: Any) -> None:
        counts = self.counts
        counts.received += 1
        counts.last_arrival = now = time.monotonic()
        if (rate := self._settings['max_rate']) > 0:
            if now < self._slot + 1 / rate:
                counts.held_back += 1
                return
            # From one slot to the next, so that the rate does not fall behind for jitter.
            self._slot = max(self._slot + 1 / rate, now - 1 / rate)
        self._on_image(self, message)

    # On the worker's thread

    def read(self, message: Any, detector: FaceDetector) -> Frame:
        """Read an image, as small as it may be.

        Raises:
            ImageError: if it cannot be read.
        """
        if not self._compressed:
            return frame_from_message(message)
        # Small windows need all pixels, as does the overlay.
        whole_only = not self._settings['smallest_face'] and not self._overlay_wanted()
        needed = detector.model.input_size if whole_only else None
        return self._reader.read(message, needed)

    def publish(self, message: Any, frame: Frame, faces: Faces) -> None:
        """Publish the faces of an image, and the overlay if someone watches it."""
        self.faces.publish(serialize(faces, message.header))
        plan = self.stream.plan
        if plan is not None and plan.note != self._noted:
            self._noted = plan.note
            if plan.note:
                self._node.get_logger().warning(f'{self.topic}: {plan.note}')
        self.counts.processed += 1
        self.counts.faces += len(faces)
        now = time.monotonic()
        rate = self._settings['overlay_rate']
        if (rate > 0 and now < self._last_overlay + 1 / rate) or not self._overlay_wanted():
            return
        self._last_overlay = now
        picture = self._draw(message, frame, faces)
        for publisher, make_message in self._overlays:
            if publisher.get_subscription_count():
                try:
                    publisher.publish(make_message(picture, message.header))
                except ImageError as error:
                    self.warn(f'no overlay: {error}')

    def warn(self, sentence: str) -> None:
        """Warn of what is wrong with an image, now and then: each camera has its own turn."""
        now = time.monotonic()
        if now >= self._next_warning:
            self._next_warning = now + WARNING_PERIOD
            self._node.get_logger().warning(f'{self.topic}: {sentence}')

    def _overlay_wanted(self) -> bool:
        return any(publisher.get_subscription_count() for publisher, _ in self._overlays)

    def _jpeg(self, picture: Any, header: Any) -> CompressedImage:
        return jpeg_from_bgr(picture, header, self._settings['overlay_quality'])

    def _draw(self, message: Any, frame: Frame, faces: Faces) -> Any:
        scale = self._settings['overlay_scale']
        picture = frame.to_bgr(scale)
        stamp = message.header.stamp
        age = self._node.get_clock().now().nanoseconds - stamp.sec * 10**9 - stamp.nanosec
        latency = f'{age / 1e6:.0f} ms' if 0 <= age < 10**10 else 'old or unset stamp'
        caption = f'{message.header.frame_id}  {self.counts.rate_processed:.1f} Hz  {latency}'
        if self._settings['overlay_windows']:
            draw_windows(picture, [window[1:] for window in self.stream.windows], scale)
        if self._settings['tracking']:
            draw_trails(picture, self.stream.tracker.trails().values(), scale)
        draw_faces(picture, faces.scaled(scale), caption)
        return picture

    def close(self) -> None:
        """Take no more images and offer nothing more."""
        self.pause()
        for publisher in (self.faces, self._info, *(publisher for publisher, _ in self._overlays)):
            self._node.destroy_publisher(publisher)
