"""The short form of `make soak`: everything random, and each image accounted for."""

import random

import pytest
from ros_fixtures import detector_starter
from soak import Soak, usage

pytestmark = [pytest.mark.ros, pytest.mark.network]

#: Rounds, each with some hundred images and some other attacks.
ROUNDS = 2


@pytest.mark.parametrize('compressed', [False, True])
def test_whatever_comes_is_answered_or_counted(compressed):
    with detector_starter() as start:
        soak = Soak(start, compressed, random.Random(7))
        _, threads, descriptors = usage(soak.node.pid)
        for _ in range(ROUNDS):
            soak.round()
        assert soak.totals['answered'] > 0
        assert soak.totals['unreadable'] > 0
        assert usage(soak.node.pid)[1:] == (threads, descriptors)
        code, printed = soak.node.interrupt()
        assert (code, 'Traceback' in printed) == (0, False), printed
