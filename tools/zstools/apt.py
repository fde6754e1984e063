# SPDX-License-Identifier: GPL-2.0-only
"""Use apt privately: this machine's mirror and keyring, but nothing of /etc or /var changed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from zstools.command import run
from zstools.errors import CommandError, SourceError
from zstools.progress import BuildProgress

SUITES = ("sid", "trixie-backports")
_DEBIAN_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_ONE_LINE = re.compile(r"^deb\s+(?:\[(?P<options>[^\]]*)\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)\s")
_DEBIAN_SUITE = re.compile(
    r"^(sid|unstable|testing|stable|oldstable|bullseye|bookworm|trixie|forky|duke)"
    r"(-updates|-backports)?$"
)


@dataclass(frozen=True)
class Mirror:
    """Where this machine gets Debian from, and the keyring that it trusts for that."""

    uri: str
    keyring: str


def find_mirror(etc: Path = Path("/etc/apt")) -> Mirror:
    """Return the first Debian mirror in apt's sources; raise SourceError if there is none."""
    parts = etc / "sources.list.d"
    texts = [*sorted(parts.glob("*.sources")), etc / "sources.list", *sorted(parts.glob("*.list"))]
    for path in texts:
        if path.is_file():
            content = path.read_text(errors="replace")
            found = _deb822(content) if path.suffix == ".sources" else _one_line(content)
            if found is not None:
                return found
    raise SourceError(f"no Debian mirror in {etc}: give a kernel tree with --linux DIR instead")


def _deb822(content: str) -> Mirror | None:
    for stanza in re.split(r"\n\s*\n", content):
        fields = _fields(stanza)
        suites = fields.get("suites", "").split()
        is_binary = "deb" in fields.get("types", "").split() and fields.get("enabled") != "no"
        if is_binary and any(_DEBIAN_SUITE.match(s) for s in suites):
            return Mirror(fields["uris"].split()[0], fields.get("signed-by", "") or _keyring())
    return None


def _fields(stanza: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    name = ""
    for line in stanza.splitlines():
        if line.startswith("#"):
            continue
        if line[:1].isspace():
            fields[name] = fields.get(name, "") + "\n" + line
        elif ":" in line:
            name, value = line.split(":", 1)
            name = name.strip().lower()
            fields[name] = value.strip()
    return fields


def _one_line(content: str) -> Mirror | None:
    for line in content.splitlines():
        found = _ONE_LINE.match(line.strip() + " ")
        if found is None or not _DEBIAN_SUITE.match(found["suite"]):
            continue
        signed = re.search(r"signed-by=(\S+)", found["options"] or "")
        return Mirror(found["uri"], signed[1] if signed else _keyring())
    return None


def _keyring() -> str:
    return str(_DEBIAN_KEYRING) if _DEBIAN_KEYRING.is_file() else ""


class PrivateApt:
    """An apt of our own in a directory; the machine's proxy settings still hold."""

    def __init__(self, directory: Path, mirror: Mirror, progress: BuildProgress) -> None:
        self._directory = directory
        self._mirror = mirror
        self._progress = progress
        self._config = directory / "apt.conf"
        self._set_up()

    def update(self) -> None:
        """Fetch the package lists; raise SourceError if the mirror does not answer."""
        try:
            self._run("apt-get", "update", "-o", "APT::Update::Error-Mode=any")
        except CommandError as error:
            raise SourceError(
                f"cannot fetch package lists from {self._mirror.uri} ({_last_line(error)}): "
                "check the network, or give a kernel tree with --linux DIR"
            ) from error

    def newest(self, package: str) -> str | None:
        """Return the newest version of a package, or None."""
        listing = self._run("apt-cache", "madison", package)
        rows = [line.split("|") for line in listing.splitlines() if line.count("|") == 2]
        return rows[0][1].strip() if rows else None

    def download(self, package: str, version: str, into: Path) -> Path:
        """Download a package, verified by apt, and return the .deb."""
        into.mkdir(parents=True, exist_ok=True)
        try:
            self._run("apt-get", "download", f"{package}={version}", cwd=into)
        except CommandError as error:
            raise SourceError(f"cannot download {package}: {_last_line(error)}") from error
        return next(into.glob(f"{package}_*.deb"))

    def _set_up(self) -> None:
        for name in ("sources", "lists/partial", "cache/archives/partial"):
            (self._directory / name).mkdir(parents=True, exist_ok=True)
        (self._directory / "status").touch()
        (self._directory / "sources" / "zsfuzz.sources").write_text(_stanza(self._mirror))
        self._config.write_text(_config(self._directory))

    def _run(self, program: str, *arguments: str, cwd: Path | None = None) -> str:
        # -c is read after /etc/apt/apt.conf.d, so what is ours wins.
        command = [program, "-q", "-c", str(self._config), *arguments]
        return run(command, progress=self._progress, on_line=self._step, cwd=cwd)

    def _step(self, line: str) -> None:
        self._progress.step(line.strip())


def _stanza(mirror: Mirror) -> str:
    lines = ["Types: deb", f"URIs: {mirror.uri}", f"Suites: {' '.join(SUITES)}", "Components: main"]
    if mirror.keyring:
        lines.append(f"Signed-By: {mirror.keyring}")
    return "\n".join(lines) + "\n"


def _config(directory: Path) -> str:
    settings = {
        "Dir::Etc::sourcelist": "/dev/null",
        "Dir::Etc::sourceparts": f"{directory}/sources",
        "Dir::Etc::preferences": "/dev/null",
        "Dir::Etc::preferencesparts": "/dev/null",
        "Dir::State": str(directory),
        "Dir::State::lists": f"{directory}/lists",
        "Dir::State::status": f"{directory}/status",
        "Dir::Cache": f"{directory}/cache",
        "Acquire::Languages": "none",
        "APT::Sandbox::User": "root",
    }
    lines = [f'{name} "{value}";' for name, value in settings.items()]
    # Hooks of the machine act on its own apt state, not on ours.
    hooks = ("Pre-Invoke", "Post-Invoke", "Post-Invoke-Success")
    lines += [f"#clear APT::Update::{hook};" for hook in hooks]
    return "\n".join(lines) + "\n"


def _last_line(error: Exception) -> str:
    return str(error).splitlines()[-1].strip()
