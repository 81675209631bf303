"""The worker's thread on real parts: its states, its batches, and a network in a mood."""

import itertools
import threading
from collections import Counter

import numpy as np
import pytest
from moody_network import end_hang, start_hang, write_moody_network
from rclpy.logging import get_logger
from rclpy.parameter import Parameter
from ros_fixtures import PORTRAIT, TIMEOUT, Robot, ids_of, image_message

from blazeface_ros import FaceDetector, Faces
from blazeface_ros.core.detector import BATCH
from blazeface_ros.core.pipeline import FacePipeline
from blazeface_ros.core.tiling import plan_tiles
from blazeface_ros.ros.counters import NETWORK_CALL, CameraCounters, NetworkCounters
from blazeface_ros.ros.face_publisher import FacePublisher
from blazeface_ros.ros.latest_image_queue import LatestImageQueue
from blazeface_ros.ros.parameters import DetectorParameters, LiveParameters, declare
from blazeface_ros.ros.watchdog import WatchedBackend
from blazeface_ros.ros.worker import FAILURES_BEFORE_RELOAD, Worker, WorkerCamera, WorkerState

pytestmark = [pytest.mark.ros, pytest.mark.torch, pytest.mark.onnxruntime]

WHITE, BLACK = (np.full((256, 256, 3), value, np.uint8) for value in (255, 0))
RUNNING, STOPPING, STOPPED, ABANDONED = WorkerState


class ObservedWorker(Worker):
    """A worker that notes its states."""

    def __setattr__(self, name, value):
        if name == 'state':
            self.__dict__.setdefault('states', []).append(value)
        super().__setattr__(name, value)


class ObservedNetwork(NetworkCounters):
    """Counters that also count the calls."""

    calls = 0

    def calling(self, call=NETWORK_CALL):
        self.calls += call == NETWORK_CALL
        return super().calling(call)


class Bench:
    """A worker with all that it needs but a node of its own."""

    def __init__(self, robot, detector, open_detector, parameters, queue_size=9, cameras=('a',)):
        self.robot = robot
        self.queue = LatestImageQueue(queue_size)
        self.counters = {name: CameraCounters() for name in cameras}
        self.publishers = {
            name: FacePublisher(robot.node, f'{name}/faces', overlay=False) for name in cameras
        }
        self.network = ObservedNetwork()
        self.pipeline = FacePipeline.from_detector(detector)
        for name in cameras:
            robot.listen(f'{name}/faces')
        # Each listener knows its publisher before anything is published.
        robot.until(
            lambda: all(s.get_publisher_count() == 1 for s in self._listeners()), 'they are known'
        )
        self.worker = ObservedWorker(
            self.pipeline,
            open_detector,
            {name: WorkerCamera(self.publishers[name], self.counters[name]) for name in cameras},
            self.queue,
            parameters,
            self.network,
            get_logger('worker'),
            robot.node.context.ok,
        )

    def _listeners(self):
        return [s for s in self.robot.node.subscriptions if s.topic_name.endswith('/faces')]

    def counts(self, camera='a'):
        return self.counters[camera].snapshot()

    def put(self, pixels, camera='a', **changes):
        """Queue an image; returns it."""
        image = image_message(pixels, **changes)
        self.queue.put(camera, image)
        return image

    def ask(self, pixels, camera='a'):
        """Queue an image and wait until it is answered; returns the answer."""
        image = self.put(pixels, camera)
        self.robot.until(lambda: self.robot.answer(image), 'it is answered')
        return self.robot.answer(image)

    def hang(self):
        """Let the network hang; returns the image that it hangs on."""
        image = self.put(WHITE)
        self.robot.until(self.is_calling, 'the network is called')
        return image

    def is_calling(self):
        return self.network.snapshot().call == NETWORK_CALL

    def until_lost(self, lost):
        self.robot.until(lambda: self.counts().lost == lost, f'{lost} are lost')


@pytest.fixture(scope='module')
def moody_file(tmp_path_factory):
    file = tmp_path_factory.mktemp('model') / 'moody.onnx'
    write_moody_network(file)
    return file


@pytest.fixture
def robot():
    robot = Robot('/bench', faces=False)
    yield robot
    robot.close()


@pytest.fixture
def make_bench(robot, moody_file):
    """Makes a bench whose network hangs on white pictures and fails on black ones."""
    start_hang(moody_file)
    benches = []

    def open_detector():
        return FaceDetector(str(moody_file), threads=1)

    def make_bench(open_again=open_detector, parameters=None, **options):
        parameters = parameters or LiveParameters(DetectorParameters())
        bench = Bench(robot, open_detector(), open_again, parameters, **options)
        benches.append(bench)
        return bench

    yield make_bench
    end_hang(moody_file)
    for bench in benches:
        bench.worker.stop()
    for thread in threading.enumerate():
        if thread.name == 'detector worker':
            thread.join(TIMEOUT)


# Its states


def test_it_answers_until_it_is_stopped(make_bench):
    bench = make_bench()
    assert len(bench.ask(PORTRAIT).detections) == 1
    assert bench.worker.state is RUNNING
    assert bench.worker.stop() is bench.pipeline
    assert bench.worker.states == [RUNNING, STOPPING, STOPPED]


def test_the_pipeline_that_it_gives_back_can_be_used_at_once(make_bench):
    bench = make_bench()
    bench.ask(PORTRAIT)
    assert isinstance(bench.pipeline.detector.backend, WatchedBackend)
    pipeline = bench.worker.stop()
    assert not isinstance(pipeline.detector.backend, WatchedBackend)
    assert len(pipeline.process(PORTRAIT, 1.0).faces) == 1


def test_without_images_it_can_be_stopped_as_well(make_bench):
    bench = make_bench()
    assert bench.worker.stop() is bench.pipeline
    assert bench.worker.state is STOPPED


def test_a_worker_whose_network_hangs_is_abandoned_and_publishes_nothing_more(
    make_bench, moody_file
):
    bench = make_bench()
    bench.ask(PORTRAIT)
    answers = len(bench.robot.faces)
    hanging = bench.hang()
    waiting = [bench.put(PORTRAIT) for _ in range(3)]
    assert bench.worker.stop() is None
    assert bench.worker.states == [RUNNING, STOPPING, ABANDONED]
    assert bench.counts().dropped == len(waiting)
    assert not bench.pipeline.detector.closed

    end_hang(moody_file)
    bench.until_lost(1)
    bench.robot.until(lambda: bench.pipeline.detector.closed, 'it closes the network')
    assert bench.worker.state is ABANDONED
    # Faces come in the order in which they were published.
    last = image_message(PORTRAIT)
    bench.publishers['a'].publish_faces(Faces.empty(), last.header)
    bench.robot.until(lambda: bench.robot.answer(last), 'the last message comes')
    assert len(bench.robot.faces) == answers + 1
    assert bench.robot.answer(hanging) is None


def test_a_scan_of_many_tiles_ends_with_the_call_in_progress(make_bench, moody_file):
    parameters = LiveParameters(DetectorParameters(smallest_face=16))
    bench = make_bench(parameters=parameters)
    large = np.full((540, 960, 3), 255, np.uint8)
    assert len(plan_tiles(960, 540, 16, bench.pipeline.detector.model.smallest_share).tiles) > BATCH
    bench.put(large)
    bench.robot.until(bench.is_calling, 'the network is called')
    ends = threading.Thread(target=bench.worker.stop)
    ends.start()
    bench.robot.until(lambda: bench.queue.closed, 'no more images are wanted')
    end_hang(moody_file)
    ends.join(TIMEOUT)
    bench.until_lost(1)
    assert bench.network.calls == 1


# Batches


def test_an_image_of_each_camera_goes_through_the_network_together(make_bench, moody_file):
    bench = make_bench(cameras=('a', 'b', 'c'), queue_size=1)
    bench.hang()
    old, new, b, c = (bench.put(PORTRAIT, camera) for camera in 'aabc')
    end_hang(moody_file)
    for image in (new, b, c):
        bench.robot.until(lambda image=image: bench.robot.answer(image), 'each is answered')
    assert bench.robot.answer(old) is None
    assert bench.worker.stop()
    assert bench.network.snapshot().batches == {1: 1, 3: 1}
    assert [bench.counts(camera).processed for camera in 'abc'] == [2, 1, 1]


def test_an_image_that_cannot_be_read_costs_only_itself(make_bench, moody_file):
    bench = make_bench(cameras=('a', 'b'))
    bench.hang()
    bench.put(PORTRAIT, 'a', encoding='purple')
    good = bench.put(PORTRAIT, 'b')
    end_hang(moody_file)
    bench.robot.until(lambda: bench.robot.answer(good), 'the other is answered')
    assert len(bench.ask(PORTRAIT, 'a').detections) == 1
    counts = bench.counts('a')
    assert (counts.unreadable, counts.lost) == (1, 0)
    assert bench.network.snapshot().failure == ''


def test_two_cameras_never_share_an_id(make_bench):
    parameters = LiveParameters(DetectorParameters(tracking=True, track_lost_after=10.0))
    bench = make_bench(cameras=('a', 'b'), parameters=parameters)
    ids = {name: [ids_of(bench.ask(PORTRAIT, name)) for _ in range(2)] for name in 'ab'}
    assert ids == {'a': [['f0001']] * 2, 'b': [['f0002']] * 2}


# A change of several parameters


NEAR = {'smallest_face': 0, 'search': 'exhaustive', 'tiles_per_frame': 3}
FAR = {'smallest_face': 8, 'search': 'scan', 'tiles_per_frame': 1}


def test_a_change_of_several_parameters_counts_for_one_batch_whole(robot, make_bench):
    bench = make_bench(parameters=declare(robot.node, DetectorParameters))
    enough = threading.Event()

    def change_over_and_over():
        for values in itertools.cycle((FAR, NEAR)):
            changes = [Parameter(name, value=value) for name, value in values.items()]
            assert robot.node.set_parameters_atomically(changes).successful
            if enough.is_set():
                return

    changing = threading.Thread(target=change_over_and_over)
    changing.start()
    seen = Counter()
    try:
        while min(seen[False], seen[True]) < 15:
            bench.ask(PORTRAIT)
            result = bench.counts().last_result
            is_far = len(result.plan.tiles) > 1
            seen[is_far] += 1
            # Never all tiles of the far plan, nor three of them.
            assert len(result.tiles) == 1
    finally:
        enough.set()
        changing.join(TIMEOUT)


# A network in a mood


def test_a_network_that_keeps_failing_is_loaded_again_once(make_bench, moody_file):
    opened = []

    def open_again():
        opened.append(FaceDetector(str(moody_file), threads=1))
        return opened[-1]

    bench = make_bench(open_again)
    bench.ask(PORTRAIT)
    first = bench.pipeline.detector
    for i in range(FAILURES_BEFORE_RELOAD + 2):
        bench.put(BLACK)
        bench.until_lost(i + 1)
        failing = i + 1 >= FAILURES_BEFORE_RELOAD
        bench.robot.until(
            lambda failing=failing: bool(bench.network.snapshot().failure) == failing, 'told'
        )
    assert first.closed
    assert len(opened) == 1
    assert bench.worker.state is RUNNING
    assert len(bench.ask(PORTRAIT).detections) == 1
    bench.robot.until(lambda: not bench.network.snapshot().failure, 'it is well again')


def test_a_network_that_cannot_be_loaded_is_tried_again_until_it_can(make_bench, moody_file):
    bench = make_bench()
    away = moody_file.rename(moody_file.with_suffix('.away'))
    try:
        for i in range(FAILURES_BEFORE_RELOAD):
            bench.put(BLACK)
            bench.until_lost(i + 1)
        bench.put(PORTRAIT)
        bench.until_lost(FAILURES_BEFORE_RELOAD + 1)
        assert str(moody_file) in bench.network.snapshot().failure
    finally:
        away.rename(moody_file)
    bench.robot.until(
        lambda: bench.counts().processed or not bench.put(PORTRAIT), 'an image is answered'
    )
    bench.robot.until(lambda: not bench.network.snapshot().failure, 'it is well again')
