"""The command `blazeface` itself: its verbs, help and version."""

import os
import subprocess
import sys
from xml.etree import ElementTree

import pytest
from shared import PICTURES, ROOT

import blazeface_ros
from blazeface_ros.cli import main as cli
from blazeface_ros.cli.main import main


def printed_by(capsys, *arguments):
    """What the command prints before it ends with exit code 0."""
    with pytest.raises(SystemExit) as end:
        main([*arguments])
    assert end.value.code == 0
    return capsys.readouterr().out


def test_help_names_all_verbs_with_examples(capsys):
    text = printed_by(capsys, '--help')
    verbs = [verb.__name__.rpartition('.')[2] for verb in cli.VERBS]
    assert all(f'\n    {verb}' in text for verb in verbs)
    assert 'blazeface detect photo.jpg' in text


@pytest.mark.parametrize('verb', ['detect', 'evaluate', 'convert', 'parity', 'benchmark', 'doctor'])
def test_each_verb_describes_its_options(capsys, verb):
    assert f'usage: blazeface {verb}' in printed_by(capsys, verb, '--help')


def test_the_version_is_that_of_package_xml(capsys):
    version = ElementTree.parse(ROOT / 'package.xml').findtext('version')
    assert printed_by(capsys, '--version') == f'{version}\n'
    assert blazeface_ros.__version__ == version


def test_an_unknown_verb_is_refused(capsys):
    with pytest.raises(SystemExit) as end:
        main(['banana'])
    assert end.value.code == 2
    assert "'banana'" in capsys.readouterr().err


@pytest.mark.network
@pytest.mark.parametrize('unbuffered', ['', '1'])
def test_it_ends_quietly_when_nobody_reads_its_output_any_more(unbuffered):
    command = f"'{sys.executable}' -m blazeface_ros.cli.main detect '{PICTURES}/astronaut.png'"
    done = subprocess.run(
        ['bash', '-c', f'{command} | true; exit ${{PIPESTATUS[0]}}'],
        env={**os.environ, 'PYTHONUNBUFFERED': unbuffered},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, '')


VERBS_THAT_READ_PICTURES = (
    ['detect', f'{PICTURES}/astronaut.png'],
    ['parity', f'{PICTURES}/astronaut.png'],
    ['benchmark', '--picture', f'{PICTURES}/astronaut.png'],
)


@pytest.mark.network
@pytest.mark.parametrize('arguments', VERBS_THAT_READ_PICTURES, ids=lambda words: words[0])
def test_verbs_that_read_pictures_refuse_larger_ones_than_the_user_allows(capsys, arguments):
    assert main([*arguments, '--max-image-pixels', '1000']) in (1, 2)
    assert '512 x 512 pixels, above the limit of 1,000 pixels' in capsys.readouterr().err


@pytest.mark.parametrize('limit', ['0', '-1', '1e9', '2000000000', '9' * 5000, ''])
@pytest.mark.parametrize('verb', ['detect', 'evaluate', 'parity', 'benchmark'])
def test_a_limit_of_pixels_that_cannot_work_is_refused(capsys, verb, limit):
    with pytest.raises(SystemExit) as end:
        main([verb, '--max-image-pixels', limit])
    assert end.value.code == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert 'not a whole number from 1 to 1073741824' in error
    assert len(error) < 500


@pytest.mark.network
@pytest.mark.parametrize('unbuffered', ['', '1'])
@pytest.mark.parametrize(
    'words', [f"detect '{PICTURES}/astronaut.png'", '--help', '--version', 'detect --help']
)
def test_an_output_that_cannot_be_written_is_said_in_one_sentence(words, unbuffered):
    done = subprocess.run(
        f"'{sys.executable}' -m blazeface_ros.cli.main {words} > /dev/full",
        shell=True,
        env={**os.environ, 'PYTHONUNBUFFERED': unbuffered},
        capture_output=True,
        text=True,
    )
    sentence = 'blazeface: the output cannot be written: No space left on device\n'
    assert (done.returncode, done.stderr) == (1, sentence)


@pytest.mark.network
def test_it_works_without_an_output():
    command = f"'{sys.executable}' -m blazeface_ros.cli.main detect '{PICTURES}/astronaut.png'"
    done = subprocess.run(f'{command} >&-', shell=True, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, '')


@pytest.mark.network
def test_without_stderr_no_error_is_mixed_into_the_output():
    command = f"'{sys.executable}' -m blazeface_ros.cli.main detect missing.png"
    done = subprocess.run(f'{command} 2>&-', shell=True, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, '')


@pytest.mark.parametrize('words', [['x' * 5000], ['detect', 'a.png', '--threads', '9' * 5000]])
def test_a_long_argument_is_not_repeated_in_full(capsys, words):
    with pytest.raises(SystemExit) as end:
        main(words)
    assert end.value.code == 2
    assert 'characters)' in capsys.readouterr().err.splitlines()[-1][-30:]
