"""Run granian so that it ends when it is told to, also while a worker is importing its application.

Usage: python3 -m wsgi_serve, with what `python3 -m granian` takes.

Granian's main process has a handler for SIGTERM and forks its worker, which has that handler until it has imported the
application and sets its own. A SIGTERM in between tells a flag that nobody in the worker reads: the main process waits
for the worker until systemd kills both, after TimeoutStopSec. Here the worker begins with the default, which ends it.
"""

import os
import signal

from granian.cli import entrypoint


def shield_forks() -> None:
    """Have whatever the calling process forks begin with the default for SIGTERM, not with a handler of this process."""
    main = os.getpid()

    def hold() -> None:
        # A SIGTERM that arrives between the fork and the default would meet the handler after all.
        if os.getpid() == main:
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})

    def let_go() -> None:
        if os.getpid() == main:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})

    def begin_anew() -> None:
        # What the worker itself forks is the application's affair.
        if os.getppid() == main:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})

    os.register_at_fork(before=hold, after_in_parent=let_go, after_in_child=begin_anew)


if __name__ == "__main__":
    shield_forks()
    entrypoint()
