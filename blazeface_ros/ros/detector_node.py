"""The node: images in, faces out."""

from __future__ import annotations

import sys
import threading
from typing import Any

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.logging import get_logger
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import Image
from vision_msgs.msg import Detection2DArray, VisionInfo

import blazeface_ros
from blazeface_ros.detector import FaceDetector
from blazeface_ros.drawing import draw_faces
from blazeface_ros.errors import BlazeFaceError, ImageError
from blazeface_ros.ros import parameters
from blazeface_ros.ros.camera import Camera
from blazeface_ros.ros.images import frame_from_message, message_from_bgr
from blazeface_ros.ros.mailbox import Mailbox
from blazeface_ros.ros.messages import to_message

RESULT_QOS = QoSProfile(depth=10)
LATCHED_QOS = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)

#: Seconds between two warnings of the same kind.
WARNING_PERIOD = 5.0


class DetectorNode(LifecycleNode):
    """Finds faces in the newest image, as fast as the network allows.

    The executor's thread only drops each image into a mailbox. One worker thread takes the newest
    from there, runs the network and publishes, so that services and parameters answer at once
    however slow the network is, and an old image is never worked on while a newer one waits.

    Raises:
        ConfigurationError: if a parameter has a value that is not allowed.
    """

    def __init__(self) -> None:
        super().__init__('detector')
        self.failure: BlazeFaceError | None = None
        self.unreadable = 0
        self._detector: FaceDetector | None = None
        self._worker: threading.Thread | None = None
        self.parameters = parameters.declare(self, parameters.DETECTOR, self._apply)

    # Lifecycle

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the network and offer the outputs."""
        settings = self.parameters
        try:
            self._detector = FaceDetector(
                settings['model'],
                settings['backend'],
                device=settings['device'],
                threads=settings['threads'],
                score_threshold=settings['score_threshold'],
                iou_threshold=settings['iou_threshold'],
            )
        except BlazeFaceError as error:
            self.failure = error
            self.get_logger().fatal(str(error))
            return TransitionCallbackReturn.FAILURE
        self._faces_publisher = self.create_publisher(Detection2DArray, 'faces', RESULT_QOS)
        self._overlay_publisher = (
            self.create_publisher(Image, 'faces/overlay', QoSProfile(depth=1))
            if settings['overlay']
            else None
        )
        self._info_publisher = self.create_publisher(VisionInfo, 'faces/vision_info', LATCHED_QOS)
        info = VisionInfo(
            method=f'BlazeFace {self._detector.model.name} on '
            f'{self._detector.backend.description}, blazeface_ros {blazeface_ros.__version__}',
            database_location=str(self._detector.model_file),
        )
        info.header.stamp = self.get_clock().now().to_msg()
        self._info_publisher.publish(info)
        self.get_logger().info(info.method)
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Begin to take images."""
        self._mailbox: Mailbox[Image] = Mailbox()
        self._worker = threading.Thread(target=self._work, name='detector worker', daemon=True)
        self._worker.start()
        self._camera = Camera(self, 'image_raw', self._mailbox.put)
        self.get_logger().info(
            f'waiting for images on {self._camera.topic}, '
            f'faces go to {self._faces_publisher.topic_name}'
        )
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Take no more images."""
        self._stop()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Give network and outputs back."""
        self._release()
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """End from whatever state."""
        self._release()
        return TransitionCallbackReturn.SUCCESS

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Start afresh after a transition that failed."""
        self._release()
        return TransitionCallbackReturn.SUCCESS

    def _stop(self) -> None:
        if self._worker is None:
            return
        self._camera.close()
        self._mailbox.close()
        self._worker.join()
        self._worker = None

    def _release(self) -> None:
        self._stop()
        if self._detector is None:
            return
        self._detector.close()
        self._detector = None
        for publisher in (self._faces_publisher, self._overlay_publisher, self._info_publisher):
            if publisher is not None:
                self.destroy_publisher(publisher)

    def _apply(self, changed: dict[str, Any]) -> None:
        """Take over live parameters."""
        self.parameters |= changed
        if self._detector is not None:
            self._detector.set_thresholds(
                self.parameters['score_threshold'], self.parameters['iou_threshold']
            )

    # The worker's thread

    def _work(self) -> None:
        while (message := self._mailbox.take()) is not None:
            try:
                self._answer(message)
            except ImageError as error:
                self.unreadable += 1
                self.get_logger().warning(
                    f'cannot read an image ({self.unreadable} so far) from '
                    f'{self._camera.topic}, encoding {message.encoding!r}, '
                    f'{message.width} x {message.height}, step {message.step}, '
                    f'{len(message.data)} bytes: {error}',
                    throttle_duration_sec=WARNING_PERIOD,
                )
            except Exception as error:
                if not self.context.ok():
                    return  # interrupted while publishing
                # Whatever happens to one frame must not end the node.
                self.get_logger().error(
                    f'an image was lost: {type(error).__name__}: {error}',
                    throttle_duration_sec=WARNING_PERIOD,
                )

    def _answer(self, message: Image) -> None:
        assert self._detector is not None
        frame = frame_from_message(message)
        faces = self._detector.detect(frame)
        self._faces_publisher.publish(to_message(faces, message.header))
        overlay = self._overlay_publisher
        if overlay is not None and overlay.get_subscription_count():
            picture = frame.to_bgr()
            draw_faces(picture, faces)
            overlay.publish(message_from_bgr(picture, message.header))

    def destroy_node(self) -> None:
        """Stop the worker before what it uses is gone."""
        self._release()
        super().destroy_node()


def main(args: list[str] | None = None) -> int:
    """Run the node until it is interrupted.

    Returns:
        0 after an interrupt; 1 if the node could not start, with the reason logged.
    """
    rclpy.init(args=args)
    node = None
    try:
        node = DetectorNode()
        if node.parameters['autostart']:
            node.trigger_configure()
            if node.failure:
                return 1
            node.trigger_activate()
        rclpy.spin(node)
    except BlazeFaceError as error:
        get_logger('detector').fatal(str(error))
        return 1
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()
    return 0


if __name__ == '__main__':
    sys.exit(main())
