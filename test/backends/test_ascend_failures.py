"""Calls of acl that fail: the Ascend backend says what failed, and goes on."""

import pytest
from acl_double import FUNCTIONS
from ascend_support import assert_close, open_om

from blazeface_ros.backends.acl_runtime import CODES, AclError

pytest_plugins = ['ascend_fixtures']
pytestmark = pytest.mark.onnxruntime


@pytest.mark.parametrize('code', [107001, 107002, 145000, 145002, 207001, 500002, 507011, 545001])
def test_errors_that_users_meet_say_function_code_meaning_and_remedy(acl, om, code):
    acl.fail('rt.create_stream', code)
    with pytest.raises(AclError) as caught:
        open_om(om())
    name, meaning, remedy = CODES[code]
    text = str(caught.value)
    assert text.startswith(f'acl.rt.create_stream failed with {code} ({name}: {meaning}): ')
    assert remedy.format(chip='Ascend310B4') in text
    assert text.endswith(f'[E19999: rt.create_stream returned {code}]')


def test_an_unknown_code_is_reported_too(acl, om):
    acl.fail('rt.malloc', 999999)
    with pytest.raises(AclError, match=r'acl\.rt\.malloc failed with 999999 \(unknown code'):
        open_om(om())


def assert_names(error, function, code):
    """The error says which function failed, and how."""
    assert error.function == f'acl.{function}'
    returns_code = FUNCTIONS[function][1] == 'code' or isinstance(FUNCTIONS[function][1], tuple)
    assert error.code == (code if returns_code else None)
    assert error.function in str(error)
    assert str(code) in str(error) or not returns_code


@pytest.mark.parametrize('machine', [{}, {'timeout_call': False}], ids=['', 'no timeout call'])
def test_a_failure_of_any_call_while_loading_is_reported_and_leaves_nothing(
    boot, om, machine, inputs, expected
):
    file = om(aipp='rgb')
    acl = boot(**machine)
    backend = open_om(file)
    loading = [*acl.calls]
    backend.close()
    failing = [i for i, name in enumerate(loading) if FUNCTIONS[name][1] is not None]
    assert len(failing) > 25
    for number in failing:
        acl = boot(**machine)
        acl.fail(number, 507899)
        with pytest.raises(AclError) as caught:
            open_om(file)
        assert_names(caught.value, loading[number], 507899)
        assert acl.ledger == {}
        backend = open_om(file)
        assert_close(backend.infer(inputs[:1]), [output[:1] for output in expected])
        backend.close()


@pytest.mark.parametrize('machine', [{}, {'timeout_call': False}], ids=['', 'no timeout call'])
def test_a_failure_of_any_call_on_a_frame_costs_that_frame(boot, om, machine, inputs, expected):
    acl = boot(**machine)
    backend = open_om(om(batch=2))
    begin = len(acl.calls)
    backend.infer(inputs)
    calls = acl.calls[begin:]
    assert len(calls) > 15
    for number, name in enumerate(calls):
        acl.fail(len(acl.calls) + number, 507011)
        with pytest.raises(AclError) as caught:
            backend.infer(inputs)
        assert_names(caught.value, name, 507011)
        assert_close(backend.infer(inputs), expected)
    acl.fail('execution', 507011)
    with pytest.raises(AclError, match=r'synchronize_stream.* failed with 507011'):
        backend.infer(inputs)
    assert_close(backend.infer(inputs), expected)
    backend.close()


def test_a_failure_of_any_call_while_closing_is_reported_and_the_rest_is_released(boot, om):
    acl = boot()
    backend = open_om(om())
    begin = len(acl.calls)
    backend.close()
    closing = acl.calls[begin:]
    assert len(closing) > 10
    for number, name in enumerate(closing):
        backend = open_om(om())
        acl.fail(len(acl.calls) + number, 507899)
        with pytest.raises(AclError) as caught:
            backend.close()
        assert_names(caught.value, name, 507899)
        assert acl.ledger == {}
        backend.close()


def test_the_first_of_several_failures_is_reported(acl, om):
    acl.fail('mdl.load_from_file', 145002)
    for name in ('rt.destroy_stream', 'rt.destroy_context', 'rt.reset_device'):
        acl.fail(name, 507899)
    with pytest.raises(AclError, match='load_from_file failed with 145002'):
        open_om(om())
    backend = open_om(om())
    acl.fail('rt.free', 507899)
    acl.fail('rt.reset_device', 507011)
    with pytest.raises(AclError, match='free failed with 507899'):
        backend.close()


def test_after_a_timeout_the_run_is_waited_for_before_its_memory_is_used_again(acl, om, inputs):
    backend = open_om(om())
    for _ in range(2):
        acl.fail('rt.synchronize_stream_with_timeout', 545601)
        with pytest.raises(AclError, match='synchronize_stream_with_timeout failed with 545601'):
            backend.infer(inputs[:1])
    # The second call has not written over the input that the device still reads.
    assert acl.calls.count('mdl.execute_async') == 1
    backend.close()


def test_after_an_interrupt_during_a_run_the_next_frame_is_right(acl, om, inputs, expected):
    backend = open_om(om())
    synchronise = acl.module.rt.synchronize_stream_with_timeout

    def interrupted(*arguments):
        acl.module.rt.synchronize_stream_with_timeout = synchronise
        raise KeyboardInterrupt

    acl.module.rt.synchronize_stream_with_timeout = interrupted
    with pytest.raises(KeyboardInterrupt):
        backend.infer(inputs[1:2])
    assert_close(backend.infer(inputs[:1]), [output[:1] for output in expected])
    backend.close()
