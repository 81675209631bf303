"""The mailbox between executor and worker."""

import threading

from blazeface_ros.ros.mailbox import Mailbox


def test_only_the_newest_is_kept_and_the_others_are_counted():
    mailbox = Mailbox()
    for content in 'abc':
        mailbox.put(content)
    assert mailbox.take() == 'c'
    assert mailbox.replaced == 2


def test_taking_waits_for_what_comes():
    mailbox = Mailbox()
    threading.Timer(0.05, mailbox.put, ['late']).start()
    assert mailbox.take() == 'late'


def test_closing_wakes_whoever_waits():
    mailbox = Mailbox()
    threading.Timer(0.05, mailbox.close).start()
    assert mailbox.take() is None


def test_a_closed_mailbox_gives_nothing_more():
    mailbox = Mailbox()
    mailbox.put('a')
    mailbox.close()
    assert mailbox.take() is None
