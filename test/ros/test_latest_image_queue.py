"""The queue between the executor's thread and the worker's."""

import os
import threading

import pytest
from ros_fixtures import TIMEOUT

from blazeface_ros.ros.latest_image_queue import LatestImageQueue, default_queue_bytes

pytestmark = pytest.mark.ros


def contents(images):
    return [(image.camera, image.message) for image in images]


def take_on_a_thread(queue, then):
    """What `take` gives a thread that may have begun to wait before something is done."""
    taken = []
    thread = threading.Thread(target=lambda: taken.append(contents(queue.take())), daemon=True)
    thread.start()
    then()
    thread.join(TIMEOUT)
    (images,) = taken
    return images


def test_only_the_newest_of_each_camera_is_kept():
    queue = LatestImageQueue()
    evicted = [queue.put('left', 1), queue.put('right', 2), queue.put('left', 3)]
    assert evicted == [0, 0, 1]
    assert contents(queue.take()) == [('right', 2), ('left', 3)]


def test_a_larger_queue_gives_each_image_its_turn_and_loses_the_oldest():
    queue = LatestImageQueue(2)
    evicted = [queue.put('left', i) for i in (1, 2, 3)]
    queue.put('right', 4)
    assert evicted == [0, 0, 1]
    assert contents(queue.take()) == [('left', 2), ('right', 4)]
    assert contents(queue.take()) == [('left', 3)]


def test_images_of_a_camera_wait_only_as_far_as_their_bytes_allow():
    queue = LatestImageQueue(9, most_bytes=100)
    assert [queue.put('left', i, size=40) for i in range(3)] == [0, 0, 1]
    assert queue.put('right', 'another camera', size=90) == 0
    assert queue.put('left', 'huge', size=1000) == 2  # the newest may always wait
    assert contents(queue.take()) == [('right', 'another camera'), ('left', 'huge')]


def test_the_default_of_queue_bytes_is_a_share_of_this_machines_memory():
    total = os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE')
    assert 0 < default_queue_bytes() <= total / 8


def test_a_fast_camera_does_not_keep_a_slow_one_waiting():
    queue = LatestImageQueue(9)
    for i in range(9):
        queue.put('fast', i)
    queue.put('slow', 'its only one')
    assert contents(queue.take()) == [('fast', 0), ('slow', 'its only one')]


def test_what_was_taken_is_gone():
    queue = LatestImageQueue()
    queue.put('left', 1)
    queue.take()
    assert queue.put('left', 2) == 0
    assert contents(queue.take()) == [('left', 2)]


def test_taking_waits_for_what_comes():
    queue = LatestImageQueue()
    assert take_on_a_thread(queue, lambda: queue.put('left', 'late')) == [('left', 'late')]


def test_what_a_camera_has_waiting_can_be_dropped_and_the_others_stay():
    queue = LatestImageQueue(3)
    for camera, message in (('left', 1), ('left', 2), ('right', 3)):
        queue.put(camera, message)
    assert [queue.discard_pending('left') for _ in range(2)] == [2, 0]
    assert contents(queue.take()) == [('right', 3)]


def test_closing_gives_back_what_waits_and_nothing_comes_any_more():
    queue = LatestImageQueue(2)
    for camera, message in (('left', 1), ('left', 2), ('right', 3)):
        queue.put(camera, message)
    assert not queue.closed
    assert sorted(contents(queue.close())) == [('left', 1), ('left', 2), ('right', 3)]
    assert queue.closed
    assert queue.close() == []
    queue.put('left', 4)
    assert queue.take() == []


def test_closing_wakes_whoever_waits():
    queue = LatestImageQueue()
    assert take_on_a_thread(queue, queue.close) == []
