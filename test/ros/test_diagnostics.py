"""What is counted, and what /diagnostics makes of it, without a node."""

import time
from dataclasses import replace

import numpy as np
import pytest

from blazeface_ros import Faces
from blazeface_ros.core.pipeline import FrameResult
from blazeface_ros.core.tiling import plan_tiles
from blazeface_ros.ros.counters import (
    NETWORK_CALL,
    SAMPLES,
    STAGES,
    CameraCounters,
    CameraCounts,
    NetworkCounters,
    NetworkStatus,
)
from blazeface_ros.ros.diagnostics import ERROR, OK, WARN, camera_status, network_status

pytestmark = pytest.mark.ros

BEGIN = CameraCounts(taken_at=1000.0)


def result_with(faces, searched=None, smallest_face=0):
    """A result with so many faces, in the first so many tiles of the plan."""
    plan = plan_tiles(960, 540, smallest_face, 1 / 14)
    points = np.zeros((faces, 8, 2), np.float32)
    found = Faces.from_points(points, np.ones(faces))
    return FrameResult(found, plan.tiles[:searched], plan)


def told(now, before=BEGIN, idle='', publishers=1):
    """Level, message and values of a camera's status."""
    status = camera_status('detector: front', '/front/image', publishers, idle, before, now)
    assert status.name == 'detector: front'
    return status.level, status.message, {entry.key: entry.value for entry in status.values}


# A camera


def test_a_cameras_counts_are_what_was_added():
    counters = CameraCounters()
    assert counters.snapshot().last_result is None
    for now in (5.0, 6.0, 7.5):
        counters.add_received(now)
    counters.add_processed(result_with(2))
    counters.add_processed(last := result_with(3))
    counters.add(dropped=2, lost=1)
    counters.add(throttled=4, unreadable=5)
    counts = counters.snapshot()
    expected = CameraCounts(3, 2, 2, 4, 5, 1, 5, 7.5, last, counts.taken_at)
    assert counts == expected


def test_reading_changes_nothing():
    counters, network = CameraCounters(), NetworkCounters()
    counters.add_received(time.monotonic())
    counters.add_processed(result_with(1))
    network.add_batch(1, dict.fromkeys(STAGES, 0.25))
    with network.calling():
        pass
    network.set_failure('a failure')
    first, second = counters.snapshot(), counters.snapshot()
    assert second.taken_at >= first.taken_at
    assert second.received == first.received == 1
    assert camera_status('a', 't', 1, '', BEGIN, first) == (
        camera_status('a', 't', 1, '', BEGIN, first)
    )
    first, second = network.snapshot(), network.snapshot()
    assert first.batches == second.batches == {1: 1}
    assert network_status('n', first, 0, 0) == network_status('n', second, 0, 0)


def test_a_snapshot_stays_as_it_was():
    counters, network = CameraCounters(), NetworkCounters()
    counts, status = counters.snapshot(), network.snapshot()
    counters.add_received(1.0)
    network.add_batch(1, dict.fromkeys(STAGES, 1.0))
    network.set_failure('a failure')
    assert (counts.received, counts.last_arrival) == (0, 0.0)
    assert (status.failure, status.batches) == ('', {})
    assert all(len(status.stages[stage]) == 0 for stage in STAGES)


def test_rates_are_those_since_the_last_report():
    before = CameraCounts(100, 90, last_arrival=999.9, taken_at=1000.0)
    now = CameraCounts(130, 110, faces=55, last_arrival=1001.5, taken_at=1002.0)
    level, message, values = told(now, before)
    assert (level, message) == (OK, '10.0 images per second')
    assert values == {
        'topic': '/front/image',
        'rate received (Hz)': '15.0',
        'rate processed (Hz)': '10.0',
        'age of the last image (s)': '0.5',
        'received': '130',
        'processed': '110',
        'dropped': '0',
        'throttled': '0',
        'unreadable': '0',
        'lost': '0',
        'faces': '55',
        'tiles': 'none so far',
    }


def test_two_reports_at_one_moment_divide_by_no_zero():
    now = CameraCounts(1, 1, last_arrival=1000.0, taken_at=1000.0)
    assert told(now)[0] == OK


def test_a_camera_that_is_left_alone_is_well():
    level, message, _ = told(CameraCounts(taken_at=1009.0), idle='disabled')
    assert level == OK
    assert 'disabled' in message


@pytest.mark.parametrize(('publishers', 'told_of'), [(0, 'no publisher'), (2, '2 publisher')])
def test_a_silent_camera_is_warned_of_with_how_many_publish(publishers, told_of):
    silent = CameraCounts(5, 5, last_arrival=997.0, taken_at=1000.0)
    before = CameraCounts(5, 5, last_arrival=997.0, taken_at=999.0)
    level, message, values = told(silent, before, publishers=publishers)
    assert level == WARN
    assert 'for 3 s' in message
    assert told_of in message and '/front/image' in message
    assert values['age of the last image (s)'] == '3.0'
    level, message, _ = told(CameraCounts(taken_at=1001.0), publishers=publishers)
    assert level == WARN
    assert told_of in message


@pytest.mark.parametrize(
    ('now', 'level'),
    [
        (CameraCounts(10, 9, unreadable=1, last_arrival=1001.0, taken_at=1001.0), WARN),
        (CameraCounts(10, 9, lost=1, last_arrival=1001.0, taken_at=1001.0), WARN),
        (CameraCounts(10, 0, unreadable=10, last_arrival=1001.0, taken_at=1001.0), ERROR),
        (CameraCounts(10, 0, lost=10, last_arrival=1001.0, taken_at=1001.0), ERROR),
        (CameraCounts(10, 4, dropped=6, last_arrival=1001.0, taken_at=1001.0), WARN),
        (CameraCounts(10, 5, dropped=5, last_arrival=1001.0, taken_at=1001.0), OK),
        (CameraCounts(10, 1, throttled=9, last_arrival=1001.0, taken_at=1001.0), OK),
    ],
)
def test_the_level_tells_of_images_that_went_without_an_answer(now, level):
    assert told(now)[0] == level


def test_what_went_wrong_before_the_last_report_is_past():
    before = CameraCounts(10, 0, 3, 0, 5, 2, 0, 999.0, None, 1000.0)
    now = CameraCounts(12, 2, 3, 0, 5, 2, 0, 1000.5, None, 1001.0)
    assert told(now, before)[:2] == (OK, '2.0 images per second')


def test_it_is_told_which_tiles_were_searched():
    plan = plan_tiles(960, 540, 16, 1 / 14)
    total = len(plan.tiles)
    for result, expected in (
        (result_with(0), '1 of 1 tiles, for faces from 69 pixels'),
        (result_with(0, None, 16), f'{total} of {total} tiles, for faces from 16 pixels'),
        (
            result_with(0, 4, 16),
            f'4 of {total} tiles, for faces from 16 pixels; each tile within {2 * total} images',
        ),
    ):
        now = CameraCounts(1, 1, last_arrival=1001.0, last_result=result, taken_at=1001.0)
        assert told(now)[2]['tiles'] == expected


# The network


def told_of_network(network, max_latency=0.0, failed=0):
    status = network_status('detector: network', network, max_latency, failed)
    return status.level, status.message, {entry.key: entry.value for entry in status.values}


def test_a_network_that_has_done_nothing_yet_is_well():
    level, message, values = told_of_network(NetworkCounters('ONNX Runtime').snapshot())
    assert (level, message) == (OK, 'running')
    assert values == {
        'runs': 'ONNX Runtime',
        'batches (count x images)': '',
        'failed requests': '0',
    }


def test_batches_and_the_times_of_all_stages_are_told():
    network = NetworkCounters()
    for images, seconds in ((1, 0.001), (3, 0.003), (1, 0.002)):
        network.add_batch(images, dict.fromkeys(STAGES, seconds))
    _, _, values = told_of_network(network.snapshot())
    assert values['batches (count x images)'] == '2 x 1, 1 x 3'
    stages = ['wait', 'decode', 'sample', 'network', 'merge', 'track', 'publish']
    assert [key for key in values if key.endswith('(ms)')] == [f'{name} (ms)' for name in stages]
    assert values['track (ms)'] == 'mean 2.00, p95 2.90'


def test_only_the_last_times_of_a_stage_are_kept():
    network = NetworkCounters()
    network.add_batch(1, dict.fromkeys(STAGES, 1000.0))
    for _ in range(SAMPLES):
        network.add_batch(1, dict.fromkeys(STAGES, 0.001))
    assert told_of_network(network.snapshot())[2]['wait (ms)'] == 'mean 1.00, p95 1.00'


def test_a_latency_above_the_limit_is_warned_of():
    network = NetworkCounters()
    network.add_batch(1, {'wait': 0.05, 'network': 0.1})
    status = network.snapshot()
    assert status.latency == pytest.approx(0.15)
    assert told_of_network(status, 0.0)[0] == OK
    assert told_of_network(status, 0.2)[0] == OK
    level, message, _ = told_of_network(status, 0.1)
    assert level == WARN
    assert 'max_latency' in message


def test_a_failure_of_the_network_is_an_error_until_it_is_over():
    network = NetworkCounters()
    network.set_failure('3 failures in a row')
    assert told_of_network(network.snapshot())[:2] == (ERROR, '3 failures in a row')
    network.set_failure('')
    assert told_of_network(network.snapshot())[0] == OK


def test_a_call_that_does_not_end_is_an_error():
    hanging = NetworkStatus(call=NETWORK_CALL, call_began=time.monotonic() - 1000)
    level, message, _ = told_of_network(hanging)
    assert level == ERROR
    assert message.startswith('the network has been hanging')
    network = NetworkCounters()
    with network.calling():
        assert network.snapshot().call == NETWORK_CALL
        assert network.snapshot().call_began <= time.monotonic()
    assert network.snapshot().call == ''


def test_reading_an_image_that_does_not_end_is_an_error_but_none_of_the_network():
    network = NetworkCounters()
    with network.calling('reading an image of /front/image'):
        hanging = replace(network.snapshot(), call_began=time.monotonic() - 1000)
    level, message, _ = told_of_network(hanging)
    assert level == ERROR
    assert message.startswith('reading an image of /front/image has been hanging')
    assert network.slowest_call() == 0


def test_the_slowest_call_is_that_since_it_was_asked_for_last():
    network = NetworkCounters()
    assert network.slowest_call() == 0
    for _ in range(3):
        with network.calling():
            pass
    assert network.slowest_call() > 0
    assert network.slowest_call() == 0
