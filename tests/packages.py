"""Make packages for tests: source archives that need nothing to be built but themselves (a backend of their own, PEP 517)."""

import io
import tarfile
import zipfile
from pathlib import Path

BACKEND = """
import pathlib, zipfile
NAME, VERSION, REQUIRES = {name!r}, {version!r}, {requires!r}

def wheel(folder, extra):
    title = f"{{NAME}}-{{VERSION}}-{tag}.whl"
    info = f"{{NAME}}-{{VERSION}}.dist-info"
    with zipfile.ZipFile(pathlib.Path(folder, title), "w") as archive:
        metadata = f"Metadata-Version: 2.1\\nName: {{NAME}}\\nVersion: {{VERSION}}\\n"
        metadata += "".join(f"Requires-Dist: {{one}}\\n" for one in REQUIRES)
        members = dict(extra, **{{f"{{info}}/METADATA": metadata, f"{{info}}/WHEEL": "Wheel-Version: 1.0\\nGenerator: test\\n"
                   "Root-Is-Purelib: true\\nTag: {tag}\\n"}})
        members[f"{{info}}/RECORD"] = "".join(f"{{name}},,\\n" for name in [*members, f"{{info}}/RECORD"])
        for name, content in members.items():
            archive.writestr(name, content)
    return title

def build_wheel(folder, settings=None, metadata=None):
    return wheel(folder, {{path.name: path.read_bytes() for path in pathlib.Path().glob("{module}*")}})

def build_sdist(folder, settings=None):
    raise NotImplementedError
"""


def sdist(
    folder: Path, name: str, version: str, files: dict[str, bytes], requires: tuple[str, ...] = (), tag: str = ""
) -> Path:
    """Write a source archive of a package whose files, `NAME*`, become a wheel with a tag, by default one for any host."""
    backend = BACKEND.format(
        name=name, version=version, requires=list(requires), tag=tag or "py3-none-any", module=name
    )
    pyproject = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    content = {"pyproject.toml": pyproject.encode(), "backend.py": backend.encode(), **files}
    content["PKG-INFO"] = f"Metadata-Version: 1.2\nName: {name}\nVersion: {version}\n".encode()
    path = folder / f"{name}-{version}.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        for inner, raw in content.items():
            info = tarfile.TarInfo(f"{name}-{version}/{inner}")
            info.size = len(raw)
            tar.addfile(info, io.BytesIO(raw))
    return path


def wheel(folder: Path, name: str, version: str, files: dict[str, str], requires: tuple[str, ...] = ()) -> Path:
    """Write a wheel for any host."""
    path, info = folder / f"{name}-{version}-py3-none-any.whl", f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n" + "".join(
        f"Requires-Dist: {one}\n" for one in requires
    )
    members = files | {
        f"{info}/METADATA": metadata,
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    members[f"{info}/RECORD"] = "".join(f"{inner},,\n" for inner in [*members, f"{info}/RECORD"])
    with zipfile.ZipFile(path, "w") as archive:
        for inner, text in members.items():
            # With a time of its own, so that the same is the same.
            archive.writestr(zipfile.ZipInfo(inner), text)
    return path
