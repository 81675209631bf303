"""What can be set, and what is refused."""

from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest

from blazeface_ros import PipelineSettings
from blazeface_ros.core.settings import (
    Declaration,
    DetectionSettings,
    declarations,
    describe,
)
from blazeface_ros.errors import ConfigurationError

DECLARED = declarations(PipelineSettings)
LIMITED = [(name, one) for name, one in DECLARED.items() if one.limits]


@pytest.mark.parametrize('name', DECLARED)
def test_every_setting_has_a_default_that_is_allowed_and_says_what_it_means(name):
    declared = DECLARED[name]
    value = getattr(PipelineSettings(), name)
    assert value == declared.default
    assert type(value) is type(declared.default)
    assert PipelineSettings(**{name: declared.default}) == PipelineSettings()
    assert describe(name) == declared.description
    assert declared.description.endswith('.')


def test_what_single_frames_need_is_set_alike_for_pipelines():
    shared = declarations(DetectionSettings)
    assert shared == {name: DECLARED[name] for name in shared}
    assert isinstance(PipelineSettings(), DetectionSettings)


NESTED = []
for _ in range(100_000):
    NESTED = [NESTED]
HUGE = {
    'a text': 'x' * 1_000_000,
    'a list': ['x'] * 100_000 + [1],
    'a number': 10**5000,
    'a nested list': NESTED,
}


@pytest.mark.parametrize('value', HUGE.values(), ids=HUGE)
@pytest.mark.parametrize('name', DECLARED)
def test_a_huge_value_is_refused_in_a_short_sentence(name, value):
    with pytest.raises(ConfigurationError, match=f'^{name} is .*; it must be ') as error:
        PipelineSettings(**{name: value})
    assert len(str(error.value)) < 500


@pytest.mark.parametrize(('name', 'declared'), LIMITED)
def test_both_limits_are_allowed_and_what_lies_beyond_is_refused(name, declared):
    kind = type(declared.default)
    low, high = declared.limits
    for value in (kind(low), kind(high)):
        assert getattr(PipelineSettings(**{name: value}), name) == value
    step = 1 if kind is int else 1e-6
    for value in (low - step, high + step):
        with pytest.raises(ConfigurationError) as refused:
            PipelineSettings(**{name: value})
        for told in (name, repr(value), str(low), str(high)):
            assert told in str(refused.value)


@pytest.mark.parametrize(
    ('name', 'value', 'allowed'),
    [
        ('score_threshold', float('nan'), 'a number from 0.0 to 1.0'),
        ('score_threshold', '0.5', 'a number from 0.0 to 1.0'),
        ('score_threshold', None, 'a number from 0.0 to 1.0'),
        ('score_threshold', True, 'a number from 0.0 to 1.0'),
        ('iou_threshold', float('inf'), 'a number from 0.0 to 1.0'),
        ('max_faces', 2.5, 'a whole number from 0 to 1000'),
        ('max_faces', False, 'a whole number from 0 to 1000'),
        ('smallest_face', '24', 'a whole number from 0 to 4096'),
        ('search', 'banana', 'one of exhaustive, scan'),
        ('search', ['scan'], 'one of exhaustive, scan'),
        ('tracking', 1, 'true or false'),
        ('track_smoothing', 'yes', 'true or false'),
    ],
)
def test_a_value_that_cannot_work_is_refused_with_name_value_and_what_is_allowed(
    name, value, allowed
):
    with pytest.raises(ConfigurationError) as refused:
        PipelineSettings(**{name: value})
    for told in (name, repr(value), allowed):
        assert told in str(refused.value)
    assert isinstance(refused.value, ValueError)


def test_a_setting_that_does_not_exist_is_refused_by_name():
    with pytest.raises(TypeError, match='smallest_faces'):
        PipelineSettings(smallest_faces=3)


@pytest.mark.parametrize(
    ('name', 'value', 'expected'),
    [
        ('score_threshold', 1, 1.0),
        ('score_threshold', np.float32(0.5), 0.5),
        ('max_faces', np.int64(3), 3),
        ('track_lost_after', np.float64(2), 2.0),
        ('tracking', np.bool_(True), True),
    ],
)
def test_numbers_of_other_kinds_become_the_settings_own_kind(name, value, expected):
    found = getattr(PipelineSettings(**{name: value}), name)
    assert found == expected
    assert type(found) is type(expected)


def test_settings_are_replaced_and_never_altered():
    first = PipelineSettings(smallest_face=24)
    with pytest.raises(FrozenInstanceError):
        first.smallest_face = 48
    second = replace(first, tracking=True)
    assert (second.smallest_face, second.tracking) == (24, True)
    assert first == PipelineSettings(smallest_face=24) != second
    with pytest.raises(ConfigurationError, match='search'):
        replace(first, search='nowhere')


def test_lists_of_texts_can_be_set_as_well():
    names = Declaration((), 'Names of topics.')
    assert names.checked('names', ['a', 'b']) == ('a', 'b')
    assert names.checked('names', ()) == ()
    for value in ('ab', ['a', 1], 3, None):
        with pytest.raises(ConfigurationError, match=r'^names is .* a list of texts$'):
            names.checked('names', value)
