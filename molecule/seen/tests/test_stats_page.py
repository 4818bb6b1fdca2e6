"""The stats page as Debian's Chromium shows it: servers that serve are green, one that was killed is red."""

import json
import os
from pathlib import Path

import pytest

from tests.support import address_of, eventually, host, hosts_of

# A page of our own may read that of HAProxy, which it then is, to say how it came out.
BROWSER = "chromium-headless-shell --no-sandbox --disable-gpu --hide-scrollbars --disable-web-security --user-data-dir=/tmp/web"
LOOK = """
<script>
  fetch("%s").then(answer => answer.text()).then(page => {
    document.documentElement.innerHTML = page;
    const rows = [...document.querySelectorAll("tr[class^=active]")];
    const found = rows.map(row => [row.querySelector("a").name, getComputedStyle(row).backgroundColor]);
    document.body.textContent = JSON.stringify(Object.fromEntries(found));
  });
</script>
"""
GREEN, RED = "rgb(192, 255, 192)", "rgb(255, 144, 144)"
PAGE = f"http://{address_of('lb1')}:8404/"


@pytest.fixture(scope="module")
def browser():
    client = host(hosts_of("clients")[0])
    client.check_output(
        "apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "
        "chromium-headless-shell fonts-dejavu-core"
    )
    client.check_output("printf %%s %s > /tmp/look.html", LOOK % PAGE)
    return client


def colours(browser):
    """Return {server of hello: its colour} of the page."""
    # The page would read itself again after five seconds. What is no table is a page that had not been read yet.
    shown = browser.run(f"{BROWSER} --virtual-time-budget=3000 --dump-dom /tmp/look.html").stdout
    body = shown.rpartition("<body>")[2].partition("</body>")[0]
    rows = json.loads(body) if body.startswith("{") else {}
    return {name.removeprefix("hello/"): colour for name, colour in rows.items() if name.startswith("hello/")}


def test_server_that_was_killed_is_red(browser):
    servers = {f"{name}-{number}" for name in hosts_of("app_servers") for number in (1, 2)}
    eventually(lambda: colours(browser) == dict.fromkeys(servers, GREEN), what="green")
    host("app2").check_output("systemctl stop flask-hello@2.socket; systemctl kill --signal=KILL flask-hello@2.service")
    try:
        wanted = dict.fromkeys(servers, GREEN) | {"app2-2": RED}
        eventually(lambda: colours(browser) == wanted, what="red")
        if os.environ.get("STATS_PICTURE"):
            browser.check_output(f"{BROWSER} --window-size=1500,650 --screenshot=/tmp/stats.png {PAGE}")
            Path(os.environ["STATS_PICTURE"]).write_bytes(browser.file("/tmp/stats.png").content)
    finally:
        host("app2").check_output("systemctl start flask-hello.target")
    eventually(lambda: colours(browser).get("app2-2") == GREEN, what="green again")
