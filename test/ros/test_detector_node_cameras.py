"""What a robot does to the detector: cameras that come and go, a network in a mood."""

import array
import itertools
import re
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from lifecycle_msgs.msg import Transition
from moody_network import write_moody_network
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from ros_fixtures import NodeProcess, Robot, image_message
from sensor_msgs.msg import CompressedImage, Image
from std_srvs.srv import SetBool

from blazeface_ros.ros.images import CompressedReader, frame_from_message

RELIABLE, BEST_EFFORT = ReliabilityPolicy.RELIABLE, ReliabilityPolicy.BEST_EFFORT


@pytest.fixture
def start():
    """Start a detector with parameters; returns its process and the robot around it."""
    started = []

    def start(*parameters, **options):
        arguments = [word for parameter in parameters for word in ('-p', parameter)]
        node = NodeProcess('detector_node', '-p', 'threads:=1', *arguments)
        started.append(node.kill)
        robot = Robot(node.namespace, **options)
        started.append(robot.close)
        return node, robot

    yield start
    for finish in reversed(started):
        finish()


@pytest.fixture(scope='module')
def small(astronaut):
    """A picture with one face that is quick to send."""
    return cv2.resize(astronaut, (256, 256))


# Quality of service


def test_publishers_of_every_kind_are_heard_alone_and_mixed_as_they_come_and_go(start, small):
    _, robot = start()
    kinds = [
        QoSProfile(depth=1, reliability=reliability, durability=durability)
        for reliability in (RELIABLE, BEST_EFFORT)
        for durability in (DurabilityPolicy.VOLATILE, DurabilityPolicy.TRANSIENT_LOCAL)
    ]
    for count in (1, 2):
        for chosen in itertools.combinations(kinds, count):
            publishers = [robot.node.create_publisher(Image, 'image_raw', qos) for qos in chosen]
            for publisher in publishers:
                assert robot.ask_through(publisher, image_message(small))
            for publisher in publishers:
                robot.node.destroy_publisher(publisher)


def test_a_fixed_reliability_that_does_not_fit_is_warned_about_with_the_remedy(start, small):
    node, robot = start('qos_reliability:=reliable')
    publisher = robot.node.create_publisher(
        Image, 'image_raw', QoSProfile(depth=1, reliability=BEST_EFFORT)
    )
    robot.until(
        lambda: robot.node.get_subscriptions_info_by_topic(publisher.topic_name), 'it subscribes'
    )
    for _ in range(10):
        publisher.publish(image_message(small))
        robot.spin(0.2)
    assert robot.faces == []
    _, _, printed = node.interrupt()
    (warning,) = re.findall(r'.*are not heard.*', printed)
    assert f'{node.namespace}/image_raw: images of {node.namespace}/robot' in warning
    assert 'best_effort is offered, reliable requested' in warning
    assert "set the parameter qos_reliability to 'auto' or 'best_effort'" in warning


# Several cameras


def test_three_cameras_share_the_network_and_none_starves(start, small):
    _, robot = start('image_topics:=[a/image_raw, b/image_raw, c/image_raw]')
    rates = {'a': 60, 'b': 15, 'c': 5}
    heard = {name: [] for name in rates}
    for name in rates:
        robot.listen(f'{name}/faces', heard[name].append)
    publishers = {name: robot.camera(topic=f'{name}/image_raw') for name in rates}
    images = {name: image_message(small) for name in rates}
    for name, image in images.items():
        image.header.frame_id = name
        robot.until(lambda name=name: heard[name] or publishers[name].publish(images[name]), name)

    for messages in heard.values():
        messages.clear()
    begin, sent = time.monotonic(), dict.fromkeys(rates, 0)
    while (now := time.monotonic() - begin) < 4:
        for name, rate in rates.items():
            if now * rate >= sent[name]:
                sent[name] += 1
                images[name].header.stamp.sec = sent[name]
                publishers[name].publish(images[name])
        robot.spin(0.002)
    robot.spin(0.5)
    for name, messages in heard.items():
        assert all(message.header.frame_id == name for message in messages)
        stamps = [message.header.stamp.sec for message in messages]
        assert stamps == sorted(set(stamps)), 'no image is answered twice, or after a newer one'
    assert len(heard['c']) >= sent['c'] - 1
    assert len(heard['b']) >= 0.8 * sent['b']
    _, _, values = robot.status('network')
    sizes = {int(size) for size in re.findall(r'x (\d+)', values['batches (count x images)'])}
    assert max(sizes) >= 2, 'images that wait together are one batch'


def test_with_a_queue_each_image_of_a_burst_has_its_turn(start, small):
    _, robot = start('queue_size:=8')
    robot.ask(image_message(small))
    robot.faces.clear()
    burst = [image_message(small) for _ in range(5)]
    for image in burst:
        robot.camera().publish(image)
    robot.until(lambda: len(robot.faces) == len(burst), 'the whole burst is answered')
    assert [m.header for m in robot.faces] == [image.header for image in burst]
    robot.until(lambda: robot.count('processed') >= len(burst), 'it is reported')
    assert robot.count('dropped') == 0


def test_a_camera_that_ends_and_starts_again_needs_nothing(start, small):
    _, robot = start()
    for _ in range(2):
        camera = robot.node.create_publisher(Image, 'image_raw', QoSProfile(depth=1))
        assert robot.ask_through(camera, image_message(small))
        robot.node.destroy_publisher(camera)


@pytest.mark.parametrize(
    ('parameters', 'sentence'),
    [
        (['image_topics:=[a, a]'], "'image_topics' is ['a', 'a']; it must name each camera once"),
        (['image_topics:=[a, b]'], 'as they do not differ in their namespaces'),
        (
            ['image_topics:=[x/a, y/b]', 'face_topics:=[f]'],
            "'face_topics' is ['f']; it must have a topic of its own for each",
        ),
        (['image_topics:=7'], "'image_topics' is 7; it must be a list of texts"),
        (['image_topics:=[]'], "'image_topics' is []; it must name each camera once"),
        (['image_topics:=[/a/image, /a/../image]'], "'/a/../image' is no name of a topic"),
        (['face_topics:=["two words"]'], "'two words' is no name of a topic: Invalid topic name"),
    ],
)
def test_topics_that_do_not_fit_together_are_refused(parameters, sentence):
    arguments = [word for parameter in parameters for word in ('-p', parameter)]
    code, printed = NodeProcess('detector_node', *arguments).wait()
    assert code == 1
    assert sentence in printed


def test_one_camera_under_two_names_is_refused():
    arguments = ['-r', 'b/image:=a/image', '-p', 'image_topics:=[a/image, b/image]']
    code, printed = NodeProcess('detector_node', *arguments).wait()
    assert code == 1
    assert 'it must name each camera once' in printed


# Compressed images


def test_compressed_images_are_answered_and_the_overlay_comes_compressed(start, astronaut):
    _, robot = start('image_transport:=compressed', 'overlay_scale:=0.5')
    camera = robot.node.create_publisher(CompressedImage, 'image_raw/compressed', 1)
    data = cv2.imencode('.jpg', astronaut, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
    image = CompressedImage(format='jpeg', data=array.array('B', data))
    for second in (1, 2, 3):
        image.header.stamp.sec = second
        assert len(robot.ask_through(camera, image).detections) == 1
    overlays = []
    topic = 'faces/overlay/compressed'
    robot.node.create_subscription(CompressedImage, topic, overlays.append, 1)
    image.header.stamp.sec = 4
    robot.until(lambda: overlays or camera.publish(image), 'a compressed overlay comes')
    assert CompressedReader().read(overlays[-1], None).pixels.shape == (256, 256, 3)


def test_an_overlay_that_cannot_be_made_costs_only_itself(start, scene):
    node, robot = start('overlay_scale:=4.0')
    pictures = []
    robot.node.create_subscription(
        CompressedImage, 'faces/overlay/compressed', pictures.append, 10
    )
    wide = cv2.resize(scene, (17000, 80))  # as JPEG 68,000 pixels wide
    robot.ask(image_message(wide))
    robot.spin(0.5)
    robot.ask(image_message(wide))
    robot.until(lambda: robot.count('processed') >= 2, 'both are counted')
    assert (robot.count('lost'), pictures) == (0, [])
    _, _, printed = node.interrupt()
    assert 'no overlay: a picture of 68000 x 320 cannot be a JPEG' in printed


def test_a_remapped_camera_is_heard_on_its_compressed_topic(astronaut):
    node = NodeProcess(
        *('detector_node', '-p', 'image_transport:=compressed', '-r', 'image_raw:=/front/image')
    )
    robot = Robot(node.namespace)
    try:
        camera = robot.node.create_publisher(CompressedImage, '/front/image/compressed', 1)
        data = cv2.imencode('.jpg', astronaut)[1].tobytes()
        image = CompressedImage(format='jpeg', data=array.array('B', data))
        assert len(robot.ask_through(camera, image).detections) == 1
    finally:
        robot.close()
        node.kill()


def test_a_broken_compressed_image_costs_only_itself(start, astronaut):
    node, robot = start('image_transport:=compressed')
    camera = robot.node.create_publisher(CompressedImage, 'image_raw/compressed', 1)
    good = cv2.imencode('.jpg', astronaut)[1].tobytes()
    for second, data in enumerate([good, b'', b'rubbish', good[:100], good], 1):
        image = CompressedImage(format='jpeg', data=array.array('B', data))
        image.header.stamp.sec = second
        if data is good:
            assert len(robot.ask_through(camera, image).detections) == 1
        else:
            camera.publish(image)
            robot.spin(0.2)
    assert node.alive


# Listening, and not


def test_nobody_listening_means_no_images_and_it_says_so(start, small):
    node, robot = start(faces=False)
    camera = robot.node.create_publisher(Image, 'image_raw', 1)
    robot.until(lambda: 'nobody listens' in robot.status('image_raw')[1], 'it says it is idle')
    level, _, _ = robot.status('image_raw')
    assert level == DiagnosticStatus.OK
    assert camera.get_subscription_count() == 0
    robot.listen('faces', robot.faces.append)
    assert robot.ask_through(camera, image_message(small))
    _, _, printed = node.interrupt()
    assert printed.count(f'no images are taken: nobody listens to {node.namespace}/faces') == 1


def test_not_lazy_it_takes_images_all_the_same(start, small):
    _, robot = start('lazy:=false', faces=False)
    camera = robot.camera()
    for _ in range(5):
        camera.publish(image_message(small))
        robot.spin(0.3)
    robot.until(lambda: robot.count('processed') > 0, 'it works')


def test_it_is_turned_off_and_on_by_service_and_parameter(start, small):
    _, robot = start()
    camera = robot.camera()
    robot.ask(image_message(small))
    for turn in (
        lambda on: robot.call(SetBool, 'detector/enable', SetBool.Request(data=on))[0].success,
        lambda on: robot.set_parameter('enable', on).successful,
    ):
        assert turn(False)
        robot.until(lambda: not camera.get_subscription_count(), 'no images are taken')
        robot.until(lambda: robot.status('image_raw')[1] == 'idle: disabled', 'it says so')
        assert turn(True)
        robot.until(camera.get_subscription_count, 'images are taken again')
        assert robot.ask(image_message(small))


# Live parameters


def test_rates_and_counts_are_limited_while_it_runs(start, scene):
    _, robot = start()
    small_scene = cv2.resize(scene, (640, 360))
    everyone = len(robot.ask(image_message(small_scene)).detections)
    assert everyone > 2
    assert robot.set_parameter('max_faces', 2).successful
    assert len(robot.ask(image_message(small_scene)).detections) == 2
    assert robot.set_parameter('max_rate', 5.0).successful
    robot.spin(0.5)
    robot.faces.clear()
    camera, begin = robot.camera(), time.monotonic()
    while time.monotonic() - begin < 2:
        camera.publish(image_message(small_scene))
        robot.spin(0.02)
    robot.spin(0.3)
    assert 7 <= len(robot.faces) <= 12
    robot.until(lambda: robot.count('held back') > 20, 'it is counted')
    # A new rate holds at once, also after one of an image in a hundred seconds.
    assert robot.set_parameter('max_rate', 0.01).successful
    robot.spin(0.5)
    assert robot.set_parameter('max_rate', 0.0).successful
    assert robot.ask(image_message(small_scene))
    assert robot.set_parameter('max_rate', 0.01).successful
    camera.publish(image_message(small_scene))
    robot.spin(0.5)
    assert robot.set_parameter('max_rate', 30.0).successful
    assert robot.ask(image_message(small_scene))
    for name, value, reason in (
        ('max_rate', -1.0, 'range'),
        ('overlay_quality', 0, 'range'),
        ('lazy', 'never', 'type'),
        ('image_transport', 'compressed', 'read-only'),
    ):
        result = robot.set_parameter(name, value)
        assert not result.successful
        assert reason in result.reason.lower()


def test_the_overlay_is_scaled_and_kept_to_its_rate(start, small):
    _, robot = start('overlay_scale:=2.0', 'overlay_rate:=2.0')
    overlays = []
    robot.node.create_subscription(Image, 'faces/overlay', overlays.append, 1)
    camera, begin = robot.camera(), time.monotonic()
    while time.monotonic() - begin < 2.5:
        camera.publish(image_message(small))
        robot.spin(0.03)
    assert 3 <= len(overlays) <= 7
    assert frame_from_message(overlays[0]).pixels.shape == (512, 512, 3)


# Diagnostics


def test_diagnostics_tell_rates_stages_and_what_runs(start, small):
    _, robot = start()
    camera, begin = robot.camera(), time.monotonic()
    while time.monotonic() - begin < 3:
        camera.publish(image_message(small))
        robot.spin(0.05)
    level, _, values = robot.status('image_raw')
    assert level == DiagnosticStatus.OK
    assert 10 < float(values['rate in (Hz)']) < 25
    assert int(values['faces']) >= 20
    level, message, values = robot.status('network')
    assert (level, message) == (DiagnosticStatus.OK, 'running')
    assert 'ONNX Runtime' in values['runs']
    for stage in ('wait', 'decode', 'window', 'network', 'merge', 'publish'):
        assert re.fullmatch(r'mean \d+\.\d\d, p95 \d+\.\d\d', values[f'{stage} (ms)'])


def test_diagnostics_warn_of_a_silent_camera_and_of_a_slow_network(start, small):
    _, robot = start('max_latency:=0.0001')
    robot.ask(image_message(small))
    robot.until(lambda: robot.status('network')[0] == DiagnosticStatus.WARN, 'it is too slow')
    assert 'more than max_latency' in robot.status('network')[1]
    robot.until(lambda: robot.status('image_raw')[0] == DiagnosticStatus.WARN, 'it is silent')
    assert re.match(r'no images for \d+ s: 1 publisher\(s\) on', robot.status('image_raw')[1])


def test_diagnostics_tell_of_a_camera_whose_images_cannot_be_read(start, small):
    _, robot = start()
    robot.ask(image_message(small))
    end = time.monotonic() + 5
    while robot.status('image_raw')[0] != DiagnosticStatus.ERROR and time.monotonic() < end:
        robot.camera().publish(image_message(small, encoding='unheard of'))
        robot.spin(0.05)
    level, message, _ = robot.status('image_raw')
    assert level == DiagnosticStatus.ERROR
    assert 'unreadable or lost' in message
    robot.ask(image_message(small))
    robot.until(lambda: robot.status('image_raw')[0] == DiagnosticStatus.OK, 'it is well again')


def test_stamps_that_jump_back_do_not_confuse_it(start, small):
    _, robot = start()
    camera = robot.camera()
    robot.ask(image_message(small))
    robot.faces.clear()
    image = image_message(small)
    for second in [5, 6, 7, 1, 2, 3, 0, 0]:
        image.header.stamp.sec = second
        heard = len(robot.faces)
        camera.publish(image)
        robot.spin(0.3, lambda heard=heard: len(robot.faces) > heard)
    assert [message.header.stamp.sec for message in robot.faces] == [5, 6, 7, 1, 2, 3, 0, 0]


def test_simulated_time_that_stands_still_stops_nothing(start, small):
    _, robot = start('use_sim_time:=true')
    assert robot.ask(image_message(small))
    robot.until(lambda: robot.status('network')[1] == 'running', 'diagnostics come')


# A network in a mood


@pytest.fixture(scope='module')
def moody(tmp_path_factory):
    file = tmp_path_factory.mktemp('model') / 'moody.onnx'
    write_moody_network(file)
    return f'model:={file}'


WHITE, BLACK = (np.full((256, 256, 3), value, np.uint8) for value in (255, 0))


def test_a_network_that_hangs_is_reported_and_recovered_from(start, moody, small):
    node, robot = start(moody)
    robot.ask(image_message(small))
    robot.camera().publish(image_message(WHITE))
    begin = time.monotonic()
    robot.until(lambda: robot.status('network')[0] == DiagnosticStatus.ERROR, 'ERROR')
    assert time.monotonic() - begin < 5
    assert 'hanging' in robot.status('network')[1]
    _, seconds = robot.call(SetBool, 'detector/enable', SetBool.Request(data=True))
    assert seconds < 1
    robot.until(lambda: len(robot.faces) > 1, 'it wakes')
    assert len(robot.ask(image_message(small)).detections) == 1
    robot.until(lambda: robot.status('network')[1] == 'running', 'OK again')
    _, _, printed = node.interrupt()
    assert re.search(r'the network hung for \d', printed)


def test_a_hanging_network_does_not_keep_the_node_from_its_lifecycle(start, moody, small):
    _, robot = start(moody)
    robot.ask(image_message(small))
    robot.camera().publish(image_message(WHITE))
    robot.spin(0.5)
    begin = time.monotonic()
    assert robot.change_state(Transition.TRANSITION_DEACTIVATE)
    assert time.monotonic() - begin < 3
    assert robot.change_state(Transition.TRANSITION_ACTIVATE)
    assert len(robot.ask(image_message(small)).detections) == 1


def test_what_waits_when_it_is_turned_off_is_dropped_and_counted(start, moody, small):
    _, robot = start(moody, 'queue_size:=8')
    robot.ask(image_message(small))
    answered = robot.count('processed')
    robot.camera().publish(image_message(WHITE))
    robot.spin(0.5)
    for _ in range(3):
        robot.camera().publish(image_message(small))
    robot.until(lambda: robot.count('received') >= answered + 4, 'all have come')
    robot.call(SetBool, 'detector/enable', SetBool.Request(data=False))
    robot.until(lambda: robot.count('dropped') == 3, 'they are dropped')
    robot.call(SetBool, 'detector/enable', SetBool.Request(data=True))
    robot.camera().publish(image_message(small))
    robot.spin(0.5)
    assert robot.change_state(Transition.TRANSITION_DEACTIVATE)
    robot.until(
        lambda: (
            robot.count('received')
            == robot.count('processed') + robot.count('dropped') + robot.count('lost')
        ),
        'all are accounted for',
    )


def test_an_interrupt_during_a_hang_still_ends_it_within_two_seconds(start, moody, small):
    node, robot = start(moody)
    robot.ask(image_message(small))
    robot.camera().publish(image_message(WHITE))
    robot.spin(0.5)
    code, seconds, printed = node.interrupt()
    assert code == 0, printed
    assert seconds < 2
    assert 'Traceback' not in printed


def test_a_network_that_keeps_failing_is_loaded_anew_and_reported(start, moody, small):
    node, robot = start(moody)
    robot.ask(image_message(small))
    camera = robot.camera()
    for _ in range(5):
        camera.publish(image_message(BLACK))
        robot.spin(0.2)
    robot.until(lambda: robot.status('network')[0] == DiagnosticStatus.ERROR, 'ERROR')
    assert re.match(r'\d failures in a row: ONNX Runtime could not', robot.status('network')[1])
    robot.until(lambda: robot.count('lost') == 5, 'lost images are counted')
    assert len(robot.ask(image_message(small)).detections) == 1
    robot.until(lambda: robot.status('network')[1] == 'running', 'OK again')
    _, _, printed = node.interrupt()
    assert printed.count('it is loaded anew') == 1


def test_images_that_cannot_be_sampled_are_not_the_networks_fault(start, small):
    _, robot = start()
    robot.ask(image_message(small))
    for _ in range(4):
        robot.camera().publish(image_message(np.zeros((1, 40_000), np.uint8), 'mono8'))
        robot.spin(0.2)
    robot.until(lambda: robot.count('unreadable') == 4, 'they are counted')
    assert robot.count('lost') == 0
    assert robot.ask(image_message(small))
    assert robot.status('network')[1] == 'running'


# Nothing is left behind


def memory_and_threads(pid):
    status = Path(f'/proc/{pid}/status').read_text()
    return [int(re.search(rf'{name}:\s+(\d+)', status)[1]) for name in ('VmRSS', 'Threads')]


def test_rounds_of_its_lifecycle_under_load_leave_nothing_behind(start, small):
    node, robot = start()
    camera = robot.camera()
    image = image_message(small)
    timer = robot.node.create_timer(0.01, lambda: camera.publish(image))

    def rounds(count):
        for _ in range(count):
            for transition in (
                Transition.TRANSITION_DEACTIVATE,
                Transition.TRANSITION_CLEANUP,
                Transition.TRANSITION_CONFIGURE,
                Transition.TRANSITION_ACTIVATE,
            ):
                assert robot.change_state(transition)
        return memory_and_threads(node.pid)

    memory, threads = rounds(20)
    later_memory, later_threads = rounds(60)
    assert later_threads == threads
    assert later_memory < memory + 30_000  # KiB; one network a round would be 200,000
    timer.cancel()
    assert len(robot.ask(image_message(small)).detections) == 1
