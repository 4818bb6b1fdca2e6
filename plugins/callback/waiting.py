"""Say what is under way where a task takes long: the default output names a task when it has a result.

It also has the process that all tasks are forked from load what each of them needs (plugin_utils/preloaded.py), and modules
packed once for many runs (plugin_utils/packed.py): of our callbacks, it is the one that every run of the clone has, whatever
its output is.
"""

from __future__ import annotations

DOCUMENTATION = r"""
name: waiting
type: notification
short_description: Say which task is under way on which host
description:
  - Prints a line for a task that has no result after some seconds, and more lines the longer it takes.
  - Beside the default output, which shows a task once it is known not to be skipped (C(display_skipped_hosts)).
  - When a run begins, loads the filters and the variables that all tasks use, so that none has to, at 0.1 to 0.2 s of
    processor for each task and host. Modules are packed once for many runs.
"""

import threading
import time
from typing import TYPE_CHECKING, Any

from ansible.plugins.callback import CallbackBase
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils import packed
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.preloaded import preload, preload_vars

if TYPE_CHECKING:
    from ansible.executor.stats import AggregateStats
    from ansible.executor.task_result import CallbackTaskResult
    from ansible.inventory.host import Host
    from ansible.playbook import Playbook
    from ansible.playbook.task import Task

AFTER = (3.0, 10.0, 30.0)  # seconds; from the last one on, once in so many


class CallbackModule(CallbackBase):
    """Keep a timer for each host that has been given a task."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "waiting"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self, display: Any = None, after: tuple[float, ...] = AFTER) -> None:  # noqa: ANN401
        super().__init__(display)
        self.after = after
        self.names: dict[str, str] = {}
        self.timers: dict[tuple[str, str], threading.Timer] = {}
        # Timers run in threads of their own: one that has just fired is not to set the next one for what has just ended.
        self.lock = threading.Lock()

    def v2_playbook_on_start(self, playbook: Playbook) -> None:
        """Load what every task would."""
        preload()
        preload_vars(playbook)
        packed.bring(packed.default_folder(), packed.folder_of_run())

    def v2_playbook_on_stats(self, stats: AggregateStats) -> None:  # noqa: ARG002
        """Keep the modules that this run has packed."""
        packed.keep(packed.default_folder(), packed.folder_of_run())

    def v2_playbook_on_task_start(self, task: Task, is_conditional: bool) -> None:  # noqa: ARG002
        """Remember the name, which has no variables left in it at this time only."""
        self.names = {task._uuid: task.name or task.get_name()}

    def v2_runner_on_start(self, host: Host, task: Task) -> None:
        """Begin to wait for a host."""
        key, began = (host.get_name(), task._uuid), time.monotonic()
        name = self.names.get(task._uuid) or task.get_name()

        def tell(told: int) -> None:
            with self.lock:
                if key in self.timers:
                    self._display.display(
                        f"... {key[0]}: {name} ({time.monotonic() - began:.0f} s)", color="bright gray", stderr=True
                    )
                    wait(told + 1)

        def wait(told: int) -> None:
            beyond = max(0, told - len(self.after) + 1)
            due = began + self.after[told - beyond] * (1 + beyond)
            self.timers[key] = timer = threading.Timer(max(0.0, due - time.monotonic()), tell, [told])
            timer.daemon = True
            timer.start()

        with self.lock:
            wait(0)

    def _ended(self, result: CallbackTaskResult, ignore_errors: bool = False) -> None:  # noqa: ARG002
        """Wait no more."""
        with self.lock:
            timer = self.timers.pop((result.host.get_name(), result.task._uuid), None)
        if timer is not None:
            timer.cancel()

    v2_runner_on_ok = v2_runner_on_skipped = v2_runner_on_unreachable = v2_runner_on_failed = _ended
