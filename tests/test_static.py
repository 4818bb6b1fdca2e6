"""Names with a hash, and what is wrong with `static`, before anything is built."""

import json
import sys

import pytest

from tests.conftest import PROJECT, load

sys.path.append(str(PROJECT / "roles" / "flask_app" / "files"))

import static_names


@pytest.mark.parametrize(
    "name",
    [
        "app.3f2a9c1b.css", "admin/css/base.6c9f3d2a1b0e.css", "main.073c9b0a.chunk.js", "main.073c9b0a.js.map",
        "app-5d41402abc4b2a76b9719d911017c592.css", "d41d8cd98f00b204e980.png", "vendors_3f2a9c1b.js",
        "assets/index-BxY_3kQ2.js", "chunk-HS2RWSFO.js", "index-BxY_3kQ2.css.map", "assets/index-4192dead.js",
        "assets/vendor-bead5021.css.map", "logo-3f2a9c1b.svg", "logo.4192dead.svg", "3f2a9c1b.js", "abcdef012345.woff2",
        "application-beadfeedcafe02468135.js", "css/main.abcd1234.chunk.css", "index-B7yzabc2.js",
    ],
)  # fmt: skip
def test_names_with_a_hash(name):
    assert static_names.looks_hashed(name)


@pytest.mark.parametrize(
    "name",
    [
        "app.css", "jquery-3.7.1.min.js", "report-20260131.pdf", "jquery-migrated.js", "bootstrap-DropDown.js", "3f2a9c1b/app.css",
        "550e8400-e29b-41d4-a716-446655440abc.jpg", "apple-touch-icon-precomposed.png",
        "datasheet-LM317T01.pdf", "app.deadbeef.css", "cafe2024.jpg", "feed2024.xml", "facade12.png", "decade80.html",
        "menu_cafe2024.jpg", "menu-cafe2024.jpg", "2024cafe.jpg", "app-Version2.js", "jquery.Sprint12.js", "facade12.js",
        "IMG-12345678.jpg", "3f2a9c1b",
    ],
)  # fmt: skip
def test_names_without(name):
    assert not static_names.looks_hashed(name)


def test_manifests_name_those_that_do_not_look_it(tmp_path):
    def listed(name):
        return static_names.is_listed(str(tmp_path), name)

    assert not listed("assets/index-DkfJsLqP.js")
    (tmp_path / ".vite").mkdir()
    entry = {"file": "assets/index-DkfJsLqP.js", "css": ["assets/index-abcdefgh.css"], "src": "src/main-unhashed.js"}
    (tmp_path / ".vite" / "manifest.json").write_text(
        json.dumps({"src/main.js": entry, "bare.js": {"file": "bare.js"}})
    )
    assert listed("assets/index-DkfJsLqP.js")
    assert listed("assets/index-abcdefgh.css")
    assert not listed("src/main-unhashed.js")
    assert not listed("bare.js")
    (tmp_path / "staticfiles.json").write_text(json.dumps({"paths": {"a.css": "a.123456789012.css", "b.css": "b.css"}}))
    assert listed("a.123456789012.css")
    assert not listed("b.css")
    # That of a web app has none, and one that is no JSON says nothing.
    (tmp_path / "manifest.json").write_text(json.dumps({"icons": [{"src": "icon-precomposed.png"}], "file": "x"}))
    assert not listed("icon-precomposed.png")
    (tmp_path / "manifest.json").write_text("{")
    assert not listed("icon-precomposed.png")


@pytest.mark.parametrize(
    ("static", "words"),
    [
        ({"static": "s"}, "static has the prefix 'static'. Fix: a path of the app's URLs, like /static."),
        ({"/st?tic": "s"}, "static has the prefix '/st?tic'"),
        ({"/../x": "s"}, "static has the prefix '/../x'"),
        ({1: "s"}, "static has the prefix 1"),
        ({"/static": "../secrets"}, "static./static is '../secrets'. Fix: a folder in the source, like shop/static."),
        ({"/static": "."}, "static./static is '.'"),
        ({"/static": "/etc"}, "static./static is '/etc'"),
        ({"/static": ["a"]}, "static./static is ['a']"),
        (
            {"/static": "a", "/static/": "b"},
            "static has the prefixes /static and /static/, of which one is in the other.",
        ),
        ({"/static": "a", "/static/img": "b"}, "/static and /static/img, of which one"),
        ({"/": "a", "/static": "b"}, "static has the prefixes / and /static"),
    ],
)
def test_problems(static, words):
    problems = list(load("plugin_utils/static_problems.py").static_problems({"static": static}))
    assert any(words in problem for problem in problems), problems


def test_none_with_what_is_right():
    static = {"/static": "shop/static", "/static-admin/": "admin", "/media": "uploads"}
    assert list(load("plugin_utils/static_problems.py").static_problems({"static": static})) == []
    assert list(load("plugin_utils/static_problems.py").static_problems({"static": {"/": "public"}})) == []


def test_folder_that_is_not_in_the_source(tmp_path):
    (tmp_path / "app.py").write_text("app = 1\n")
    (tmp_path / "requirements.txt").write_text("")
    app = {"source": str(tmp_path), "wsgi": "app:app", "requirements": "", "build": [], "state_paths": ["uploads"]}
    problems = list(
        load("plugin_utils/sources.py").source_problems(app | {"static": {"/s": "dist", "/u": "uploads/a"}}, None)
    )
    assert problems == [
        f"static has 'dist'; there is no such folder in {tmp_path}. Fix: its path in the source; build it first."
    ]
