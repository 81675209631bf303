"""The node: images in, faces out.

    executor's thread:  ImageSubscriber ─► LatestImageQueue
    worker's thread:                       LatestImageQueue ─► Worker ─► FacePublisher

docs/architecture.md follows one image through all files.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from dataclasses import dataclass

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn
from rclpy.logging import get_logger
from rclpy.parameter import Parameter
from std_srvs.srv import SetBool

from blazeface_ros.core.detector import FaceDetector
from blazeface_ros.core.pipeline import FacePipeline
from blazeface_ros.errors import BlazeFaceError, describe
from blazeface_ros.ros import diagnostics, parameters
from blazeface_ros.ros.counters import CameraCounters, CameraCounts, NetworkCounters
from blazeface_ros.ros.face_publisher import FacePublisher, output_names, program_description
from blazeface_ros.ros.image_subscriber import ImageSubscriber
from blazeface_ros.ros.latest_image_queue import LatestImageQueue, default_queue_bytes
from blazeface_ros.ros.lifecycle import RobustLifecycleNode
from blazeface_ros.ros.parameters import DetectorParameters
from blazeface_ros.ros.running import run
from blazeface_ros.ros.topics import output_topics
from blazeface_ros.ros.worker import Worker, WorkerCamera, WorkerState

#: Seconds between two checks of who listens and who publishes.
UPDATE_PERIOD_S = 0.25
#: Seconds between two messages on /diagnostics.
REPORT_PERIOD_S = 1.0
NOT_ACTIVE = 'the node is not active'


@dataclass
class _Camera:
    """One camera: its two sides, and what both count."""

    subscriber: ImageSubscriber
    publisher: FacePublisher
    counters: CameraCounters
    reported: CameraCounts  # at the last report


class DetectorNode(RobustLifecycleNode):
    """Finds faces in the images of some cameras, as fast as the network allows.

    The executor's thread only puts each image into a queue. One worker thread takes them from
    there, runs the network and publishes, so that services and parameters answer at once however
    slow the network is. Unless `queue_size` lets more wait, an old image is never processed while
    a newer one is there.

    Attributes:
        abandoned_thread: whether a thread may still hang in the network.

    Raises:
        BlazeFaceError: if a parameter has a value that is not allowed.
        Exception: with autostart, whatever loading the network raises.
    """

    def __init__(self) -> None:
        super().__init__('detector')
        self.abandoned_thread = False
        self._failure: Exception | None = None  # of the last transition
        self._has_namesake = False
        self._pipeline: FacePipeline | None = None  # while no worker has it
        self._id_numbers = itertools.count(1)  # no id is used twice while the node lives
        self._worker: Worker | None = None
        self._network = NetworkCounters()
        self._cameras: list[_Camera] = []
        # rclpy's Node has a `_parameters` of its own.
        self._live = parameters.declare(self, DetectorParameters)
        self._starting = self._live.current.autostart
        self._topics = output_topics(
            self._live.current.image_topics,
            self._live.current.face_topics,
            self.resolve_topic_name,
        )
        self._queue_bytes = self._live.current.queue_bytes or default_queue_bytes()
        self._diagnostics = self.create_publisher(DiagnosticArray, '/diagnostics', 10)
        self._enable = self.create_service(SetBool, '~/enable', self._on_enable)
        # Not the node's own clock: simulated time may stand still.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(REPORT_PERIOD_S, self._report, clock=steady)
        self.create_timer(UPDATE_PERIOD_S, self._update_subscriptions, clock=steady)
        if self._live.current.autostart:
            for trigger in (self.trigger_configure, self.trigger_activate):
                trigger()
                if self._failure is not None:
                    raise self._failure
        self._starting = False

    # Lifecycle

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the network and offer the outputs."""
        return self._attempt(self._configure, undo=self._release)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Begin to receive images."""
        result = self._attempt(self._activate, undo=self._stop)
        return super().on_activate(state) if result == TransitionCallbackReturn.SUCCESS else result

    def _attempt(
        self, action: Callable[[], None], undo: Callable[[], None]
    ) -> TransitionCallbackReturn:
        """Make a transition, and tell whatever goes wrong in it: rclpy would keep it to itself."""
        self._failure = None
        try:
            action()
        except Exception as error:
            self._failure = error
            if not self._starting:
                self.get_logger().error(describe(error))
            undo()
            return TransitionCallbackReturn.FAILURE
        return TransitionCallbackReturn.SUCCESS

    def _configure(self) -> None:
        detector = self._open_detector()
        self._pipeline = self._make_pipeline(detector)
        self.get_logger().info(program_description(detector))
        for image_topic, face_topic in self._topics.items():
            self._cameras.append(self._make_camera(image_topic, face_topic))
        self._publish_info(detector)

    def _activate(self) -> None:
        pipeline = self._usable_pipeline()
        queue = LatestImageQueue(
            self._live.current.queue_size, self._queue_bytes / len(self._cameras)
        )
        self._network = NetworkCounters(pipeline.detector.description)
        self._pipeline = None
        self._worker = Worker(
            pipeline,
            self._open_detector,
            {
                camera.subscriber.topic: WorkerCamera(camera.publisher, camera.counters)
                for camera in self._cameras
            },
            queue,
            self._live,
            self._network,
            get_logger(self.get_logger().name),
            self.context.ok,
        )
        for camera in self._cameras:
            self.get_logger().info(
                f'images come from {camera.subscriber.topic}, faces go to {camera.publisher.topic}'
            )
            camera.subscriber.start(queue)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Receive no more images."""
        self._stop()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Close the network and the outputs."""
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
        current = self._live.current
        return FaceDetector(
            current.model, current.backend, device=current.device, threads=current.threads
        )

    def _make_pipeline(self, detector: FaceDetector) -> FacePipeline:
        settings = self._live.current
        return FacePipeline.from_detector(detector, settings, self._id_numbers)

    def _usable_pipeline(self) -> FacePipeline:
        """The pipeline with a network that is open; a new one after a worker was abandoned."""
        if self._pipeline is None:
            self._pipeline = self._make_pipeline(self._open_detector())
        elif self._pipeline.detector.closed:
            self._pipeline.detector = self._open_detector()
        else:
            return self._pipeline
        self._publish_info(self._pipeline.detector)
        return self._pipeline

    def _publish_info(self, detector: FaceDetector) -> None:
        for camera in self._cameras:
            camera.publisher.publish_info(detector)

    def _make_camera(self, image_topic: str, face_topic: str) -> _Camera:
        overlay = self._live.current.overlay
        publisher = FacePublisher(self, face_topic, overlay)
        counters = CameraCounters()
        answers = output_names(face_topic, overlay)
        subscriber = ImageSubscriber(self, image_topic, answers, self._live, counters)
        return _Camera(subscriber, publisher, counters, counters.snapshot())

    def _stop(self) -> None:
        for camera in self._cameras:
            camera.subscriber.stop()
        if self._worker is not None:
            self._pipeline = self._worker.stop()
            self.abandoned_thread |= self._worker.state is WorkerState.ABANDONED
            self._worker = None

    def _release(self) -> None:
        self._stop()
        pipeline, self._pipeline = self._pipeline, None
        try:
            if pipeline is not None:
                pipeline.close()
        except BlazeFaceError as error:
            self.get_logger().error(f'closing the network failed: {error}')
        for camera in self._cameras:
            camera.publisher.close()
        self._cameras.clear()

    # While it runs

    def _update_subscriptions(self) -> None:
        for camera in self._cameras:
            camera.subscriber.update_subscription()

    def _on_enable(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        (result,) = self.set_parameters([Parameter('enable', value=request.data)])
        response.success = result.successful
        response.message = result.reason or ('enabled' if request.data else 'disabled')
        self._update_subscriptions()
        return response

    def _report(self) -> None:
        self._warn_of_namesakes()
        name = self.get_fully_qualified_name().lstrip('/')
        array = DiagnosticArray()
        array.header.stamp = self.get_clock().now().to_msg()
        array.status.append(self._network_status(f'{name}: network'))
        for camera in self._cameras:
            topic = camera.subscriber.topic
            publishers = len(camera.subscriber.publishers())
            idle = camera.subscriber.idle if self._worker else NOT_ACTIVE
            counts = camera.counters.snapshot()
            array.status.append(
                diagnostics.camera_status(
                    f'{name}: {topic}', topic, publishers, idle, camera.reported, counts
                )
            )
            camera.reported = counts
        self._diagnostics.publish(array)

    def _network_status(self, name: str) -> DiagnosticStatus:
        failed = getattr(self.executor, 'failures', 0)
        if self._worker is None:
            values = {'failed requests': failed}
            return diagnostics.status(name, diagnostics.STALE, NOT_ACTIVE, values)
        return diagnostics.network_status(
            name, self._network.snapshot(), self._live.current.max_latency, failed
        )

    def _warn_of_namesakes(self) -> None:
        """Warn once if another node has the same name: requests would reach either of them."""
        own = self.get_name(), self.get_namespace()
        has_namesake = self.get_node_names_and_namespaces().count(own) > 1
        if has_namesake and not self._has_namesake:
            self.get_logger().warning(
                f"another node is called '{self.get_fully_qualified_name()}', too: give one of "
                'them another name, such as __node:=detector_2, or another namespace'
            )
        self._has_namesake = has_namesake

    def destroy_node(self) -> None:
        """Stop the worker before what it uses is gone."""
        self._release()
        super().destroy_node()


def main(args: list[str] | None = None) -> int:
    """Run the node until it is interrupted.

    Returns:
        0 after an interrupt; 1 if the node could not start, with the reason logged.
    """
    return run(DetectorNode, 'detector', args)


if __name__ == '__main__':
    sys.exit(main())
