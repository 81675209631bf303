"""The node: images in, faces out."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock, ClockType
from rclpy.exceptions import InvalidTopicNameException
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.validate_topic_name import validate_topic_name
from std_srvs.srv import SetBool
from vision_msgs.msg import VisionInfo

import blazeface_ros
from blazeface_ros.core.detector import FaceDetector
from blazeface_ros.errors import BlazeFaceError, ConfigurationError
from blazeface_ros.ros import diagnostics, parameters
from blazeface_ros.ros.camera import Camera
from blazeface_ros.ros.running import run
from blazeface_ros.ros.worker import Worker

#: Seconds between two looks at who listens and who publishes.
FOLLOW_PERIOD = 0.25
REPORT_PERIOD = 1.0


class DetectorNode(LifecycleNode):
    """Finds faces in the images of some cameras, as fast as the network allows.

    The executor's thread only drops each image into an inbox. One worker thread takes them from
    there, runs the network and publishes, so that services and parameters answer at once however
    slow the network is. Unless `queue_size` lets more wait, an old image is never worked on while
    a newer one is there.

    Attributes:
        parameters: their values by name.
        left_behind: whether a thread may still hang in the network.

    Raises:
        BlazeFaceError: if a parameter has a value that is not allowed; or, with autostart, if the
            network cannot be loaded.
    """

    def __init__(self) -> None:
        super().__init__('detector')
        self._failure: BlazeFaceError | None = None
        self.left_behind = False
        self._detector: FaceDetector | None = None
        self._worker: Worker | None = None
        self._cameras: list[Camera] = []
        self._stages = diagnostics.Stages()
        self.parameters: dict[str, Any] = {}
        self.parameters |= parameters.declare(
            self, parameters.DETECTOR, apply=self.parameters.update
        )
        self._topics = output_topics(
            self.parameters['image_topics'],
            self.parameters['face_topics'],
            self.resolve_topic_name,
        )
        self._diagnostics = self.create_publisher(DiagnosticArray, '/diagnostics', 10)
        self._enable = self.create_service(SetBool, '~/enable', self._on_enable)
        # Not the node's own clock: simulated time may stand still.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(REPORT_PERIOD, self._report, clock=steady)
        self.create_timer(FOLLOW_PERIOD, self._follow, clock=steady)
        if self.parameters['autostart']:
            self.trigger_configure()
            if self._failure is not None:
                raise self._failure
            self.trigger_activate()

    # Lifecycle

    def _LifecycleNodeMixin__change_state(  # noqa: N802
        self, transition_id: int
    ) -> TransitionCallbackReturn:
        """Refuse a transition that the present state does not have.

        rclpy raises an error for it, which would end the node, and has no better place to catch it.
        """
        try:
            return super()._LifecycleNodeMixin__change_state(transition_id)
        except RuntimeError as error:  # RCLError, which rclpy does not export
            self.get_logger().error(f'transition {transition_id} is refused: {error}')
            return TransitionCallbackReturn.FAILURE

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the network and offer the outputs."""
        try:
            self._detector = self._open_detector()
        except BlazeFaceError as error:
            self._failure = error
            if not self.parameters['autostart']:
                self.get_logger().error(str(error))
            return TransitionCallbackReturn.FAILURE
        info = VisionInfo(
            method=f'BlazeFace {self._detector.model.name} on '
            f'{self._detector.backend.description}, blazeface_ros {blazeface_ros.__version__}',
            database_location=str(self._detector.model_file),
        )
        info.header.stamp = self.get_clock().now().to_msg()
        self.get_logger().info(info.method)
        self._description = info.method
        for image_topic, face_topic in self._topics.items():
            camera = Camera(self, image_topic, face_topic, self.parameters, self._on_image)
            camera.tell(info)
            self._cameras.append(camera)
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Begin to take images."""
        try:
            detector = self._detector or self._open_detector()
        except BlazeFaceError as error:
            self.get_logger().fatal(str(error))
            return TransitionCallbackReturn.FAILURE
        self._detector = None  # the worker's from now on
        self._worker = Worker(
            self._open_detector,
            detector,
            self.parameters,
            self._stages,
            self.get_logger(),
            self.context.ok,
        )
        for camera in self._cameras:
            self.get_logger().info(
                f'images come from {camera.topic}, faces go to {camera.faces.topic_name}'
            )
        self._follow()
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

    def _open_detector(self) -> FaceDetector:
        settings = self.parameters
        return FaceDetector(
            settings['model'],
            settings['backend'],
            device=settings['device'],
            threads=settings['threads'],
            score_threshold=settings['score_threshold'],
            iou_threshold=settings['iou_threshold'],
            max_faces=settings['max_faces'],
            smallest_face=settings['smallest_face'],
        )

    def _stop(self) -> None:
        for camera in self._cameras:
            camera.pause()
        if self._worker is not None:
            self._detector = self._worker.stop()
            self.left_behind |= self._worker.abandoned
            self._worker = None

    def _release(self) -> None:
        self._stop()
        detector, self._detector = self._detector, None
        try:
            if detector is not None:
                detector.close()
        except BlazeFaceError as error:
            self.get_logger().error(f'while giving the network back: {error}')
        for camera in self._cameras:
            camera.close()
        self._cameras.clear()

    # While it runs

    def _on_image(self, camera: Camera, message: Any) -> None:
        if self._worker is not None:
            self._worker.put(camera, message)

    def _follow(self) -> None:
        if self._worker is not None:
            for camera in self._cameras:
                camera.follow()
                if camera.idle:
                    self._worker.forget(camera)

    def _on_enable(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        (result,) = self.set_parameters([Parameter('enable', value=request.data)])
        response.success = result.successful
        response.message = result.reason or ('enabled' if request.data else 'disabled')
        self._follow()
        return response

    def _report(self) -> None:
        name = self.get_fully_qualified_name().lstrip('/')
        array = DiagnosticArray()
        array.header.stamp = self.get_clock().now().to_msg()
        array.status.append(self._report_network(f'{name}: network'))
        for camera in self._cameras:
            publishers = self.count_publishers(camera.topic)
            idle = camera.idle if self._worker is not None else 'the node is not active'
            array.status.append(
                camera.counts.report(
                    f'{name}: {camera.topic}',
                    camera.topic,
                    publishers,
                    idle,
                    camera.stream.in_words(),
                )
            )
        self._diagnostics.publish(array)

    def _report_network(self, name: str) -> diagnostics.DiagnosticStatus:
        worker = self._worker
        if worker is None:
            return diagnostics.status(name, diagnostics.STALE, 'the node is not active', {})
        limit = self.parameters['max_latency'] * 1e3
        latency = self._stages.latest * 1e3
        level, message = diagnostics.OK, 'running'
        if hanging := worker.hanging_for:
            level, message = diagnostics.ERROR, f'the network has been hanging for {hanging:.0f} s'
        elif worker.failure:
            level, message = diagnostics.ERROR, worker.failure
        elif 0 < limit < latency:
            level = diagnostics.WARN
            message = f'{latency:.0f} ms from image to faces, more than max_latency ({limit:.0f})'
        batches = ', '.join(f'{n} x {size}' for size, n in sorted(worker.batches.items()))
        values = {
            'runs': self._description,
            'batches (count x images)': batches,
            **self._stages.in_words(),
        }
        return diagnostics.status(name, level, message, values, self._description)

    def destroy_node(self) -> None:
        """Stop the worker before what it uses is gone."""
        self._release()
        super().destroy_node()


def output_topics(
    image_topics: list[str],
    face_topics: list[str],
    resolve: Callable[[str], str],
) -> dict[str, str]:
    """Which faces go where: the face topic of each image topic.

    Args:
        image_topics: one a camera.
        face_topics: as many; empty: `faces` for one camera, `<camera namespace>/faces` for more.
        resolve: gives a topic's full name; two that have the same are one.

    Raises:
        ConfigurationError: if they do not make a topic of its own for each camera, or one is no
            name of a topic.
    """
    for name, topics in (('image_topics', image_topics), ('face_topics', face_topics)):
        for topic in topics:
            try:
                validate_topic_name(topic)
            except InvalidTopicNameException as error:
                reason = ' '.join(str(error).split())
                raise ConfigurationError(
                    f"parameter '{name}' is {topics}; '{topic}' is no name of a topic: {reason}"
                ) from error
    if not image_topics or _same(image_topics, resolve):
        raise ConfigurationError(
            f"parameter 'image_topics' is {image_topics}; it must name each camera once"
        )
    outputs = face_topics
    if not outputs:
        namespaces = [topic.rpartition('/')[0] for topic in image_topics]
        outputs = [f'{namespace}/faces' if namespace else 'faces' for namespace in namespaces]
        if len(image_topics) == 1:
            outputs = ['faces']
    if len(outputs) != len(image_topics) or _same(outputs, resolve):
        raise ConfigurationError(
            f"parameter 'face_topics' is {face_topics}; it must have a topic of its own for each "
            f'of the image_topics {image_topics}'
            + ('' if face_topics else ', as they do not differ in their namespaces')
        )
    return dict(zip(image_topics, outputs))


def _same(topics: list[str], resolve: Callable[[str], str]) -> bool:
    """Whether some of the topics are the same."""
    return len({resolve(topic) for topic in topics}) != len(topics)


def main(args: list[str] | None = None) -> int:
    """Run the node until it is interrupted.

    Returns:
        0 after an interrupt; 1 if the node could not start, with the reason logged.
    """
    return run(DetectorNode, 'detector', args)


if __name__ == '__main__':
    sys.exit(main())
