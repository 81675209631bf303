"""The worker's side of a camera: publishes its faces, and the overlay while somebody watches."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from rclpy.clock import Clock
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray, VisionInfo

import blazeface_ros
from blazeface_ros.core.detector import FaceDetector
from blazeface_ros.core.drawing import draw_faces, draw_tiles, draw_trails
from blazeface_ros.core.faces import Faces
from blazeface_ros.core.frame import Frame
from blazeface_ros.core.pipeline import FrameResult
from blazeface_ros.errors import ImageError, shortened
from blazeface_ros.ros.images import jpeg_from_bgr, message_from_bgr
from blazeface_ros.ros.messages import serialize
from blazeface_ros.ros.parameters import DetectorParameters
from blazeface_ros.ros.qos import LATCHED_QOS, OVERLAY_QOS, RESULT_QOS

#: The rate in the overlay's caption is that of this many last images.
RATE_WINDOW = 20
#: Characters of a frame_id that the caption shows.
MOST_DRAWN = 60
#: An image that is older than this many nanoseconds, or from the future, has no sensible stamp.
OLDEST_STAMP_NS = 10**10


def output_names(face_topic: str, overlay: bool) -> list[str]:
    """The topics on which listeners may wait for answers, the faces first."""
    overlays = [f'{face_topic}/overlay', f'{face_topic}/overlay/compressed']
    return [face_topic, *overlays] if overlay else [face_topic]


def program_description(detector: FaceDetector) -> str:
    """What finds the faces, with the version of this package."""
    return f'{detector.description}, blazeface_ros {blazeface_ros.__version__}'


class FacePublisher:
    """Publishes what was found in the images of one camera.

    It is made and closed on the executor's thread while there is no worker, and otherwise used on
    the worker's thread alone.

    Args:
        node: to publish with.
        face_topic: of the faces; the overlay's topics stand below it.
        overlay: whether there is one.
    """

    def __init__(self, node: Node, face_topic: str, overlay: bool) -> None:
        self._node = node
        self._clock: Clock = node.get_clock()
        names = output_names(face_topic, overlay)
        self._faces = node.create_publisher(Detection2DArray, names[0], RESULT_QOS)
        self._info = node.create_publisher(VisionInfo, f'{face_topic}/vision_info', LATCHED_QOS)
        self._overlays = [
            node.create_publisher(kind, name, OVERLAY_QOS)
            for kind, name in zip((Image, CompressedImage), names[1:])
        ]
        self.topic: str = self._faces.topic_name
        self._last_overlay = -math.inf
        self._published: deque[float] = deque(maxlen=RATE_WINDOW)

    def publish_info(self, detector: FaceDetector) -> None:
        """Publish what runs the network; those who subscribe later receive it, too."""
        info = VisionInfo(
            method=program_description(detector),
            database_location=str(detector.model_file),
        )
        info.header.stamp = self._clock.now().to_msg()
        self._info.publish(info)

    def publish_faces(self, faces: Faces, header: Header) -> None:
        """Publish the faces of an image with that image's header."""
        self._faces.publish(serialize(faces, header))
        self._published.append(time.monotonic())

    @property
    def overlay_wanted(self) -> bool:
        """Whether somebody subscribes to an overlay."""
        return any(publisher.get_subscription_count() for publisher in self._overlays)

    def overlay_due(self, rate: float) -> bool:
        """Whether to draw an overlay now, at most at a rate in Hz (0: any)."""
        now = time.monotonic()
        if (rate > 0 and now < self._last_overlay + 1 / rate) or not self.overlay_wanted:
            return False
        self._last_overlay = now
        return True

    def publish_overlay(
        self,
        header: Header,
        frame: Frame,
        result: FrameResult,
        trails: Mapping[str, npt.NDArray[np.float32]],
        parameters: DetectorParameters,
    ) -> None:
        """Draw and publish the overlay of an image.

        Args:
            header: of the image.
            frame: the image.
            result: what was found in it.
            trails: where tracked faces have been.
            parameters: of the node.

        Raises:
            ImageError: if the picture is too large for a JPEG, or for `max_image_pixels`.
        """
        scale = parameters.overlay_scale
        if frame.width * frame.height * scale**2 > parameters.max_image_pixels:
            raise ImageError(
                f'{frame.width} x {frame.height} with overlay_scale {scale:g} is more than '
                f'max_image_pixels ({parameters.max_image_pixels})'
            )
        picture = frame.to_bgr(scale)
        if parameters.overlay_tiles:
            draw_tiles(picture, result.tiles, scale)
        draw_trails(picture, trails.values(), scale)
        draw_faces(picture, result.faces.scaled(scale), self._caption(header))
        makers: tuple[Callable[[], Any], ...] = (
            lambda: message_from_bgr(picture, header),
            lambda: jpeg_from_bgr(picture, header, parameters.overlay_quality),
        )
        for publisher, make_message in zip(self._overlays, makers):
            if publisher.get_subscription_count():
                publisher.publish(make_message())

    def _caption(self, header: Header) -> str:
        stamp = header.stamp
        age = self._clock.now().nanoseconds - stamp.sec * 10**9 - stamp.nanosec
        known = 0 <= age < OLDEST_STAMP_NS
        latency = f'{age / 1e6:.0f} ms' if known else 'old or unset stamp'
        frame_id = shortened(header.frame_id, MOST_DRAWN)
        return f'{frame_id}  {self._rate():.1f} Hz  {latency}'

    def _rate(self) -> float:
        """How many images a second were answered lately."""
        if len(self._published) < 2:
            return 0.0
        seconds = self._published[-1] - self._published[0]
        return (len(self._published) - 1) / max(seconds, 1e-9)

    def close(self) -> None:
        """Offer nothing more."""
        for publisher in (self._faces, self._info, *self._overlays):
            self._node.destroy_publisher(publisher)
