"""A node of this package in a process of its own."""

import itertools
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress

#: Seconds after which what a test waits for will not come any more.
TIMEOUT = 60.0
#: Seconds that a node has to write what coverage has recorded.
COVERAGE_TIMEOUT = 5.0
#: Seconds between two signals, and between two looks at what a node has logged.
SIGNAL_PERIOD = LOG_PERIOD = 0.01

_numbers = itertools.count()


class NodeProcess:
    """A node of this package, started as a user would.

    Args:
        module: of `blazeface_ros.ros`.
        arguments: after --ros-args.
        environment: of the process; None: as this one's.
        folder: in which it is started; None: the current one.
    """

    def __init__(self, module, *arguments, environment=None, folder=None):
        self.namespace = f'/test{next(_numbers)}'
        self._log = tempfile.TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen(
            [
                *(sys.executable, '-u', '-m', f'blazeface_ros.ros.{module}'),
                *('--ros-args', '-r', f'__ns:={self.namespace}', *arguments),
            ],
            stdout=self._log,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd=folder,
        )

    @property
    def pid(self):
        return self._process.pid

    @property
    def alive(self):
        return self._process.poll() is None

    @property
    def printed(self):
        """All that it has printed so far."""
        size = os.fstat(self._log.fileno()).st_size
        # The process writes where the file stands, and so nothing here may move that.
        return os.pread(self._log.fileno(), size, 0).decode()

    def until_it_logs(self):
        """Wait until it has logged anything: it has then begun.

        Who comes after it finds it at once. Two that come at the same time may miss each other's
        announcements, and in Fast DDS the next ones come after three seconds.
        """
        end = time.monotonic() + TIMEOUT
        while not self.printed:
            assert time.monotonic() < end, 'the node says nothing'
            time.sleep(LOG_PERIOD)

    def interrupt(self):
        """Ctrl-C. Returns the exit code and all it printed."""
        self._process.send_signal(signal.SIGINT)
        return self.wait()

    def send_signals(self, *signals):
        """Send signals in turn until it has ended. Returns the exit code and all it printed."""
        end = time.monotonic() + TIMEOUT
        for number in itertools.cycle(signals):
            if not self.alive:
                return self.wait()
            assert time.monotonic() < end, self.printed
            self._process.send_signal(number)
            time.sleep(SIGNAL_PERIOD)

    def wait(self):
        """Wait for it to end by itself. Returns the exit code and all it printed."""
        return self._process.wait(TIMEOUT), self.printed

    def kill(self):
        if self.alive and 'COVERAGE_PROCESS_CONFIG' in os.environ:
            # A process that is killed leaves no record of what it has run.
            self._process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(COVERAGE_TIMEOUT)
        if self.alive:
            self._process.kill()
            self._process.wait()
        self._log.close()
