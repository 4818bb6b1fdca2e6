"""The parts of `make bench` that need no host: medians, tables, changed configurations, the plot."""

import re
import xml.etree.ElementTree as ET

import pytest

from bench import costs, figures, floor, host, plot, report
from bench.provision import STEPS, WAYS
from bench.variants import CONNECTIONS, VARIANTS
from tests.conftest import PROJECT
from tests.rendering import render

SPENT = {"instances": 2.0, "haproxy": 1.0, "journal": 0.5, "wrk": 0.25, "elsewhere": 0.1}


def sample(requests):
    return {
        "requests": requests,
        "microseconds": 2_000_000,
        "p50": 1500,
        "p99": 4_000_000 / requests,
        "max": 9000,
        "failed": 0,
        "not_2xx": 1,
        "cpu": SPENT,
        "pss": {"instances": 60_000, "haproxy": 11_000, "journal": 9_000},
    }


def results():
    """Three rounds in which each variant is twice as fast as the one before it, the last round being the slowest."""
    found = {"rounds": 3, "seconds": 2.0, "floor": [9000.0, 9100.0, 8000.0]}
    found["machine"] = dict.fromkeys(
        ("date", "processors", "model", "load", "debian", "haproxy", "python", "commit"), "?"
    )
    for number, variant in enumerate(VARIANTS):
        loads = [*map(str, CONNECTIONS), "direct"]
        found[variant.key] = [dict.fromkeys(loads, sample(turn * 2**number)) for turn in (10_000, 12_000, 8_000)]
    found["costs"] = [dict.fromkeys(costs.CHANGES, sample(10_000))] * 3
    found["provision"] = {
        way: [dict.fromkeys(STEPS, seconds * turn) for turn in (1.0, 1.1, 1.2)]
        for way, seconds in zip(WAYS, (40.0, 10.0), strict=True)
    }
    return found


def test_a_spread_is_the_median_with_the_range():
    assert figures.spread([3, 1, 2]) == (2, 1, 3)
    assert figures.spread([4, 1]).median == 2.5
    assert figures.spread([1234.5, 1000, 2000]).text(1) == "1,234.5 (1,000.0–2,000.0)"


def test_ratios_are_of_the_same_round():
    assert figures.ratio([10, 30], [5, 10]) == (2.5, 2, 3)
    with pytest.raises(ValueError, match="shorter"):
        figures.ratio([10, 30], [5])


def test_what_a_sample_says():
    assert figures.rate(sample(10_000)) == 5000
    assert figures.cost(sample(10_000), "haproxy") == 100
    assert figures.megabytes(sample(1), "instances") == pytest.approx(61.44)
    assert figures.failed([sample(1), sample(2)]) == 2


def test_the_aims_say_what_is_met():
    aims = {aim.name: aim for aim in report.all_aims(results())}
    assert aims["requests/s, default server : seed"].ratio == (2, 2, 2)
    assert "**no**" in aims["requests/s, default server : seed"].text()
    assert "yes" in aims["requests/s, granian : seed"].text()
    assert "yes" in aims["p99, default server : seed"].text()
    assert [aim.ratio for name, aim in aims.items() if name.startswith("time")] == [pytest.approx((0.25,) * 3)] * 2


def test_the_page_has_every_table():
    page = report.page(results())
    assert "$" not in page
    for name in (*costs.CHANGES, *(variant.title for variant in VARIANTS), *STEPS.values()):
        assert f"| {name} |" in page
    # 10,000 requests in 2 s are the median.
    assert "| 32 | seed: development servers | 5,000 (4,000–6,000) |" in page


def test_the_plot_shows_every_bar():
    root = ET.fromstring(plot.svg(results()))
    space = "{http://www.w3.org/2000/svg}"
    bars = [float(bar.get("width")) for bar in root.iter(f"{space}rect")]
    assert len(bars) == 3 * len(VARIANTS) + len(STEPS) * len(WAYS)
    assert bars[1] == pytest.approx(2 * bars[0], abs=0.1)
    texts = {text.text for text in root.iter(f"{space}text")}
    assert {"5,000", "10,000", "20,000", *(variant.title for variant in VARIANTS)} <= texts


@pytest.fixture
def config(apps_model):
    apps = [{"name": "bench", "source": "files/hello", "wsgi": "app:app", "port": 5001}]
    groups = {"app_servers": ["bench"], "load_balancers": ["bench"]}
    return render(apps_model.flask_backends(apps, groups, {"bench": {}}), haproxy_beside_apps=True)


@pytest.mark.parametrize(
    ("name", "gone", "there"),
    [
        ("one thread", "nbthread 2", "nbthread 1\n"),
        ("two threads", "nbthread 1\n", "nbthread 2\n"),
        ("no log", "    log ", "option dontlognull"),
        ("no header rules", "set-header", "default_backend"),
        ("no checks of host, path and method", "http-request deny", "set-header"),
        ("no rules at all", "http-request s", "default_backend"),
        ("no second attempt (retry-on)", "retry-on", "retries 1\n"),
        ("no queue (minconn, maxconn, fullconn)", "conn ", "default-server check inter"),
        ("no health checks", "check inter", "server bench-1 127.0.0.1:5001\n"),
        ("answers itself", "\n\n\n", costs.ITSELF + "    default_backend bench\n"),
    ],
)
def test_a_change_of_the_configuration_changes_this(config, name, gone, there):
    changed = costs.CHANGES[name](config)
    body = changed.partition("backend bench")[2].partition("frontend stats")[0] if gone == "conn " else changed
    assert gone not in body
    assert there in changed
    assert costs.CHANGES["as deployed"](config) == config


def test_pip_on_the_host_gets_the_way_to_the_index_but_no_file_of_this_machine():
    listed = (
        "global.index-url='https://index.test/wheels'\nglobal.extra-index-url='file:/here'\n"
        ":env:.proxy='http://proxy.test:3128'\nglobal.cert='/here/ca.pem'\n"
    )
    settings = host.pip_settings(listed)
    assert "index-url = https://index.test/wheels\n" in settings
    assert "proxy = http://proxy.test:3128\n" in settings
    assert "here" not in settings


def test_the_floor_calls_the_application_and_closes_its_answer():
    closed = []

    class Body(list):
        def close(self):
            closed.append(self)

    def app(environ, start_response):
        start_response("200 OK", [])
        return Body([b"Hello ", environ["wsgi.input"].read() + b"you"])

    assert floor.call(app) == b"Hello you"
    assert floor.calls_a_second(app, 0.01) > 100
    assert len(closed) > 100


def test_figures_of_the_readme_are_those_of_the_last_time():
    section = (PROJECT / "README.md").read_text().split("## How fast")[1].split("\n## ")[0]
    page = (PROJECT / "docs" / "benchmarks.md").read_text()
    found = re.findall(r"\d,\d{3}|\d+\.\d", section)
    assert len(found) == 9
    assert [figure for figure in found if not re.search(rf"(?<![\d.,]){re.escape(figure)} \(", page)] == []
