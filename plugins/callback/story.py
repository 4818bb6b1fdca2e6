"""Tell what a run does to whom in a few lines, and what is live at its end; `-v` is Ansible's ordinary output."""

from __future__ import annotations

DOCUMENTATION = r"""
name: story
type: stdout
short_description: A line for each change, and one for the way of each instance
description:
  - What was found as it should be, was skipped or included is not shown. A change is one line; what the modules of this
    collection do to an instance is one line together, with times (their return values C(seconds) and C(was)).
  - An error is its message, once; what quotes it later says that it was said. At the end is what each app is on (the return
    value C(live)), and what changed.
  - A report (the return value C(report), which M(flask_haproxy.deploy.flask_report) has displayed) is all that is said of a
    run that changes nothing and does not fail. Hosts that do not answer M(flask_haproxy.deploy.flask_status) and its kind are
    in the report. Its return value C(status), where it is not 0, is the exit status of the run.
  - With C(-v) and more, this is P(ansible.builtin.default#callback).
extends_documentation_fragment:
  - default_callback
  - result_format_callback
"""

import atexit
import sys
import textwrap
import time
from typing import TYPE_CHECKING, Any

from ansible import constants as C  # noqa: N812
from ansible import context
from ansible.plugins.callback.default import CallbackModule as Default
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.partial import flask_reason
from ansible_collections.flask_haproxy.deploy.plugins.plugin_utils.stories import Live, Story, counted, took

if TYPE_CHECKING:
    from ansible.executor.stats import AggregateStats
    from ansible.executor.task_result import CallbackTaskResult
    from ansible.playbook.play import Play
    from ansible.playbook.task import Task

# Questions whose answers, and hosts that give none, are what the report is about.
QUESTIONS = tuple(f"flask_haproxy.deploy.{name}" for name in ("flask_logs", "flask_status", "haproxy_status"))


class CallbackModule(Default):
    """The default callback with less to say."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "flask_haproxy.deploy.story"

    def __init__(self) -> None:
        super().__init__()
        if self._display.verbosity:
            self.__class__ = Default
            return
        self.began, self.ended = time.monotonic(), True
        self.play = self.headed = ""
        self.stories: dict[str, Story] = {}  # of each host, the one that goes on
        self.live = Live()
        self.reported, self.status = False, 0
        self.asking = False  # while the task under way is a question
        self.shown: tuple[str, ...] = ()  # the change whose difference was shown
        self.reasons: list[str] = []  # of what has failed

    def _say(self, text: str, color: str | None = None) -> None:
        """Show text below the name of the play, which is not shown where nothing is said."""
        if self.headed != self.play:
            self.headed = self.play
            self._display.display(self.play, color=C.COLOR_HIGHLIGHT)
        error = color in (C.COLOR_ERROR, C.COLOR_UNREACHABLE) and self.get_option("display_failed_stderr")
        self._display.display(textwrap.indent(text.rstrip(), "  "), color=color, stderr=error)

    def _end_story(self, host: str, ending: str = "") -> None:
        story = self.stories.pop(host, None)
        if story and (text := story.text(ending)):
            self._say(text, C.COLOR_ERROR if ending else C.COLOR_CHANGED)

    def _goes_on(self, result: CallbackTaskResult) -> bool:
        """Take a result into the story of an instance, and say whether it belongs to one."""
        host, found = result.host.get_name(), result.result
        self.live.learn(host, found)
        story = Story.of(host, found, result.task.check_mode)
        if story is None:
            return False
        going = self.stories.get(host)
        if going is None or going.who != story.who:
            self._end_story(host)
            self.stories[host] = going = story
        going.add(found)
        return True

    def _is_report(self, found: dict[str, Any]) -> bool:
        """Say whether a result has displayed all that there is to say."""
        if "report" in found:
            self.reported, self.status = True, max(self.status, int(found.get("status", 0)))
        return "report" in found

    def _label(self, result: CallbackTaskResult) -> str:
        """Return whom and what a result is about, with the item of a loop."""
        item = self._get_item_label(result.result) if "ansible_loop_var" in result.result else None
        about = item if isinstance(item, (str, int)) else result.result.get("name")
        # Ansible 2.21 puts the role before it.
        name = result.task_name.rpartition(" : ")[2]
        return f"{self.host_label(result)}: {name}" + (f" ({about})" if about else "")

    def _words(self, found: dict[str, Any]) -> str:
        """Return what a result says, as text."""
        said = found.get("msg", found.get("censored"))
        if not isinstance(said, str):
            return textwrap.dedent(self._dump_results(found if said is None else {"msg": said}).strip("\n"))
        # What a command wrote says more than that it failed.
        more = [
            str(found[key]).strip() for key in ("stdout", "stderr", "module_stdout", "module_stderr") if found.get(key)
        ]
        return "\n".join([said.strip(), *more])

    def _once(self, found: dict[str, Any]) -> str:
        """Return what a failed result says, without the reasons that it quotes and that were shown before."""
        words = said = self._words(found)
        for reason in self.reasons:
            # The same failure somewhere else is no quotation.
            words = words if words.startswith(reason) else words.replace(reason, "as said above.")
        # What is said around a quotation is said again.
        self.reasons += [flask_reason(found)] if words == said else []
        return words

    def _failed(self, result: CallbackTaskResult, what: str, color: str, ignored: bool) -> None:
        if result.task.action in QUESTIONS or self._is_report(result.result):
            return
        self._handle_warnings(result.result)
        result.result.pop("exception", None)  # says the same again, with a code frame
        if self._goes_on(result):
            self._end_story(result.host.get_name(), "failed")
        self._end_story(result.host.get_name())
        self._clean_results(result.result, result.task.action)
        words = textwrap.indent(self._once(result.result), "  ")
        self._say(f"{what} {self._label(result)}{', ignored' if ignored else ''}\n{words}", color)

    def v2_runner_on_failed(self, result: CallbackTaskResult, ignore_errors: bool = False) -> None:
        """Show the message; that of a loop was shown for the item."""
        if not (result.task.loop and "results" in result.result):
            self._failed(result, "FAILED", C.COLOR_ERROR, ignore_errors)

    def v2_runner_item_on_failed(self, result: CallbackTaskResult) -> None:
        """Show the message."""
        self._failed(result, "FAILED", C.COLOR_ERROR, result.task.ignore_errors is True)

    def v2_runner_on_unreachable(self, result: CallbackTaskResult) -> None:
        """Show the message."""
        if not (result.task.loop and "results" in result.result):
            self._failed(result, "UNREACHABLE", C.COLOR_UNREACHABLE, result.task.ignore_unreachable is True)

    def v2_runner_item_on_ok(self, result: CallbackTaskResult) -> None:
        """Show a change, and what was to be shown."""
        self._handle_warnings(result.result)
        host, shown = result.host.get_name(), (result.host.get_name(), result.task._uuid)
        if self._is_report(result.result) or self._goes_on(result):
            return
        if result.result.get("_ansible_verbose_always") and not result.result.get("_ansible_verbose_override"):
            self._end_story(host)
            self._clean_results(result.result, result.task.action)
            self._say(f"{host}: {self._words(result.result)}")
        elif result.result.get("changed") and self.shown != shown:
            self._end_story(host)
            self._say(self._label(result), C.COLOR_CHANGED)
        self.shown = ()

    def v2_runner_on_ok(self, result: CallbackTaskResult) -> None:
        """Show a change, and what was to be shown; of a loop, this was done for each item."""
        if not (result.task.loop and "results" in result.result):
            self.v2_runner_item_on_ok(result)
        story = self.stories.get(result.host.get_name())
        if story and story.over:
            self._end_story(result.host.get_name())

    def v2_on_file_diff(self, result: CallbackTaskResult) -> None:
        """Show a difference below what changed."""
        if result.result.get("changed") and (diff := self._get_diff(result.result.get("diff") or [])):
            self._end_story(result.host.get_name())
            self._say(self._label(result), C.COLOR_CHANGED)
            self._display.display(diff.rstrip("\n"))
            self.shown = (result.host.get_name(), result.task._uuid)

    def v2_playbook_on_start(self, playbook: Any) -> None:  # noqa: ANN401, ARG002
        """Begin to measure, and be there when the run is cut off."""
        self.began, self.ended = time.monotonic(), False
        atexit.register(self._cut_off)

    def v2_playbook_on_play_start(self, play: Play) -> None:
        """Remember the name for the first thing to say."""
        self._play = play
        for host in list(self.stories):
            self._end_story(host)
        self.play = play.get_name().strip()

    def v2_playbook_on_task_start(self, task: Task, is_conditional: bool) -> None:  # noqa: ARG002
        """Remember whether there is something to finish where the run is cut off here."""
        self.asking = task.action in QUESTIONS

    def v2_playbook_on_stats(self, stats: AggregateStats) -> None:
        """Say what is live, and for whom something changed or failed."""
        self.ended = True
        for host in list(self.stories):
            self._end_story(host)
        for line in self.live.lines():
            self._display.display(line, color=C.COLOR_OK)
        change = "would change" if context.CLIARGS.get("check") else "changed"
        totals = {change: 0, "failed": 0}
        for host in sorted(stats.processed):
            counts = stats.summarize(host)
            mine = {change: counts["changed"], "failed": counts["failures"] + counts["unreachable"]}
            if any(mine.values()) and not (self.reported and not mine[change]):
                color = C.COLOR_ERROR if mine["failed"] else C.COLOR_CHANGED
                self._display.display(f"{host}: {counted(mine)}", color=color)
            totals = {what: totals[what] + count for what, count in mine.items()}
        words = counted(totals) if stats.processed else "no host matched"
        if not self.reported or totals[change]:
            self._display.display(f"{words}, took {took(time.monotonic() - self.began)}")
        if self.status and not totals["failed"]:
            sys.exit(self.status)

    def _cut_off(self) -> None:
        """Say what was under way when the run was cut off, as by Ctrl-C."""
        # Who follows logs ends it so.
        if not self.ended and self.play and not self.asking:
            self.ended = True
            for host in list(self.stories):
                self._end_story(host, "cut off here")
            after = f"Cut off after {took(time.monotonic() - self.began)}, in: {self.play}"
            self._display.display(f"{after}. The next run goes on from here.", stderr=True)

    def _nothing(self, *arguments: Any, **named: Any) -> None:  # noqa: ANN401
        """Show nothing."""

    v2_playbook_on_include = v2_playbook_on_no_hosts_matched = v2_playbook_on_no_hosts_remaining = _nothing
    v2_playbook_on_handler_task_start = v2_runner_retry = _nothing
    v2_runner_on_skipped = v2_runner_item_on_skipped = _nothing
