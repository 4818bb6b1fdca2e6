"""What an application writes while it works on a request begins with the id of that request."""

import importlib
import io
import logging
import sys
import threading

import pytest

from tests.conftest import PROJECT


@pytest.fixture
def module(monkeypatch):
    monkeypatch.syspath_prepend(str(PROJECT / "roles" / "flask_app" / "files"))
    return importlib.import_module("wsgi_log")


@pytest.fixture
def written(module, monkeypatch):
    """Give what a thread with a request has written to stderr and stdout, as lines."""

    def written(function, request="abc-1", setting=""):
        buffers = {name: io.BytesIO() for name in ("stdout", "stderr")}
        with monkeypatch.context() as patch:
            patch.setenv("APP_LOG_REQUEST_ID", setting)
            for name, buffer in buffers.items():
                patch.setattr(sys, name, io.TextIOWrapper(buffer, encoding="utf-8", write_through=True))
            module.install()
            app = module.named(lambda environ, start: function())  # noqa: ARG005
            thread = threading.Thread(target=app, args=({"HTTP_X_REQUEST_ID": request}, None))
            thread.start()
            thread.join()
            for name in buffers:
                getattr(sys, name).flush()
            return buffers["stdout"].getvalue().decode() + buffers["stderr"].getvalue().decode()

    return written


def test_printed_lines(written):
    assert written(lambda: print("one", 2)) == "[abc-1] one 2\n"
    assert written(lambda: print("one\ntwo", file=sys.stderr)) == "[abc-1] one\n[abc-1] two\n"
    assert written(lambda: print("\n")) == "[abc-1] \n[abc-1] \n"


def test_logged_lines_and_those_of_wsgi_errors(written):
    def log():
        handler = logging.StreamHandler()
        handler.emit(logging.makeLogRecord({"msg": "logged\nTraceback"}))
        sys.stderr.writelines(["a line\n", "another\n"])

    assert written(log) == "[abc-1] logged\n[abc-1] Traceback\n[abc-1] a line\n[abc-1] another\n"


def test_what_programs_read_is_left(written):
    assert written(lambda: print('{"message": "x"}')) == '{"message": "x"}\n'
    assert written(lambda: print("x"), setting="no") == "x\n"


@pytest.mark.parametrize("request_id", ["", "a b", "a\x1b[0m", "ä", "x" * 65])
def test_what_is_no_id_is_not_written(written, request_id):
    assert written(lambda: print("x"), request=request_id) == "x\n"


def test_answer_is_passed_on_as_it_is(module):
    answer = [b"x"]
    assert module.named(lambda environ, start: answer)({}, None) is answer  # noqa: ARG005


@pytest.mark.parametrize("letter", ["\r", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029"])
def test_line_ends_where_the_journal_ends_it(written, letter):
    assert written(lambda: print(f'{{"message": "a{letter}b"}}')) == f'{{"message": "a{letter}b"}}\n'
    assert written(lambda: print(f"a{letter}b\nc")) == f"[abc-1] a{letter}b\n[abc-1] c\n"


def test_outside_a_request_nothing_is_added(module, capsys):
    stream = module.Stream(io.TextIOWrapper(io.BytesIO(), encoding="utf-8"))
    assert stream.write("started\n") == 8
    stream.flush()
    assert stream.buffer.getvalue() == b"started\n"
    assert capsys.readouterr().out == ""
