"""The node that publishes pictures, videos or a webcam as camera images, for demos and tests."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from blazeface_ros.errors import ConfigurationError
from blazeface_ros.models.catalogue import shared_file
from blazeface_ros.recordings.media import Media
from blazeface_ros.ros import parameters
from blazeface_ros.ros.images import message_from_bgr
from blazeface_ros.ros.qos import RELIABILITIES
from blazeface_ros.ros.running import run

BUNDLED_PICTURE = 'pictures/scene.jpg'


class MediaPublisherNode(Node):
    """Publishes frames on image_raw at a steady rate, stamped with the node's clock.

    Raises:
        ConfigurationError: if a parameter's value is not allowed, or there is nothing to show.
    """

    def __init__(self) -> None:
        super().__init__('media_publisher')
        settings = parameters.declare(self, parameters.MediaPublisherParameters).current
        source = settings.source or str(shared_file(BUNDLED_PICTURE) or BUNDLED_PICTURE)
        self._media = Media(source)
        self._frames = self._all_frames(settings.loop)
        self._frame_id = settings.frame_id
        self._skipped = 0
        self._published = 0
        qos = QoSProfile(depth=1, reliability=RELIABILITIES[settings.qos_reliability])
        self._publisher = self.create_publisher(Image, 'image_raw', qos)
        rate = settings.rate or self._media.rate
        self.create_timer(1 / rate, self._publish_next)
        self.get_logger().info(
            f"publishing '{source}' on {self._publisher.topic_name} at {rate:g} Hz"
        )

    def _all_frames(self, loop: bool) -> Iterator[npt.NDArray[np.uint8]]:
        anything = True
        while anything:
            anything = False
            for pixels in self._media.frames():
                anything = loop
                yield pixels

    def _publish_next(self) -> None:
        pixels = next(self._frames, None)
        for problem in self._media.skipped[self._skipped :]:
            self.get_logger().warning(f'skipped: {problem}')
        self._skipped = len(self._media.skipped)
        if pixels is None:
            if not self._published:
                raise ConfigurationError('source: nothing in it could be read')
            self.get_logger().info(f'the end, after {self._published} frames')
            raise SystemExit
        header = Header(stamp=self.get_clock().now().to_msg(), frame_id=self._frame_id)
        self._publisher.publish(message_from_bgr(pixels, header))
        self._published += 1

    def destroy_node(self) -> None:
        """Release a webcam or video."""
        self._media.close()
        super().destroy_node()


def main(args: list[str] | None = None) -> int:
    """Run the node until the end of the source or an interrupt.

    Returns:
        0; or 1 if there was nothing to publish, with the reason logged.
    """
    return run(MediaPublisherNode, 'media_publisher', args)


if __name__ == '__main__':
    sys.exit(main())
