"""The inbox between the executor and the worker."""

import threading

from blazeface_ros.ros.inbox import Inbox


def contents(letters):
    return [(letter.sender, letter.message) for letter in letters]


def test_only_the_newest_of_each_sender_is_kept():
    inbox = Inbox()
    replaced = [inbox.put('left', 1), inbox.put('right', 2), inbox.put('left', 3)]
    assert replaced == [False, False, True]
    assert contents(inbox.take()) == [('right', 2), ('left', 3)]


def test_a_larger_inbox_gives_each_its_turn_and_loses_the_oldest():
    inbox = Inbox(2)
    replaced = [inbox.put('left', i) for i in (1, 2, 3)]
    inbox.put('right', 4)
    assert replaced == [False, False, True]
    assert contents(inbox.take()) == [('left', 2), ('right', 4)]
    assert contents(inbox.take()) == [('left', 3)]


def test_what_was_taken_is_gone():
    inbox = Inbox()
    inbox.put('left', 1)
    inbox.take()
    assert inbox.put('left', 2) is False
    assert contents(inbox.take()) == [('left', 2)]


def test_taking_waits_for_what_comes():
    inbox = Inbox()
    threading.Timer(0.05, inbox.put, ['left', 'late']).start()
    assert contents(inbox.take()) == [('left', 'late')]


def test_closing_wakes_whoever_waits_and_nothing_comes_any_more():
    inbox = Inbox()
    threading.Timer(0.05, inbox.close).start()
    assert inbox.take() == []
    inbox.put('left', 1)
    assert inbox.take() == []
