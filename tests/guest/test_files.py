# SPDX-License-Identifier: GPL-2.0-only
"""The module's debugfs files, used by hand from a small C program that is the guest's init."""

from __future__ import annotations

import errno
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from guest_support import PATIENCE, ROOT, SEEDS, built

from zsfuzz.console.complaints import find_splats
from zsfuzz.mutation.rawbytes import SWAP_OPS
from zsfuzz.program import Opcode
from zsfuzz.records import RESULT_SIZE
from zsfuzz.text import parse_program
from zsmodel import Kernel as Facts
from zsmodel import Model
from zsmodel.wire import RECORDS
from zstools.kernel import Kernel

FLAVOURS = ("kasan", "lockdep")
# Operations that need what the agent sets up or does.
AGENTS = {Opcode.CGROUP_CREATE, Opcode.CGROUP_REMOVE, Opcode.FAIL_NEXT, *SWAP_OPS}
PROGRAMS = [entry.program for entry in SEEDS if not AGENTS & {op.op for op in entry.program}]
FIELDS = RECORDS["zsfuzz_result"].fields
SHOWN = (
    *("ret", "zspage", "class", "index", "owner", "tail", "group"),
    *("inuse", "tags", "tag_bits", "value", "faults", "zspages"),
)  # in the order of the text


class ByHand:
    """What the program printed: values by name, and the whole console."""

    def __init__(self, console: str) -> None:
        self.console = console
        lines = re.findall(r"^byhand: (.+) (\S+)$", console, re.MULTILINE)
        self.values = {name: value for name, value in lines if ":" not in name}

    def __getitem__(self, name: str) -> int:
        return int(self.values[name])

    def output(self, name: str) -> list[str]:
        """Lines that were read from the file after the write called `name`."""
        return re.findall(rf"^byhand: {re.escape(name)}: (.+)$", self.console, re.MULTILINE)


def build_root(kernel: Kernel, root: Path) -> None:
    """Make a guest's root like the module's own, with another init, and programs for it."""
    shutil.copytree(kernel.guest_root, root)
    source = Path(__file__).with_name("byhand.c")
    compiler = ["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-static", f"-I{ROOT / 'kmod'}"]
    subprocess.run([*compiler, source, "-o", root / "init"], check=True)
    if kernel.spec.flavour != "kasan":
        (root / "load-again").touch()
    for number, program in enumerate(PROGRAMS):
        (root / f"program-{number}").write_bytes(program.wire)


def run_init(kernel: Kernel, root: Path, scratch: Path) -> str:
    """Boot `root` until it powers off; returns the console."""
    options = ["mem=320M", "rootfstype=hostfs", f"rootflags={root}", "ro", "init=/init"]
    lines = ["seccomp=on", "con=null", "con0=null,fd:1", "ssl=null", f"uml_dir={scratch}/"]
    done = subprocess.run(
        [str(kernel.linux), *options, *lines],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        timeout=PATIENCE, check=False, start_new_session=True,
    )  # fmt: skip
    return done.stdout.decode(errors="replace").replace("\r", "")


@pytest.fixture(scope="module", params=FLAVOURS)
def byhand(request, tmp_path_factory: pytest.TempPathFactory) -> ByHand:
    kernel = built("zspage", request.param)
    folder = tmp_path_factory.mktemp("byhand")
    build_root(kernel, folder / "root")
    found = ByHand(run_init(kernel, folder / "root", folder))
    assert found.values.get("done") == "0", found.console
    return found


def test_the_kernel_has_nothing_to_complain_about(byhand: ByHand) -> None:
    assert byhand["load"] == 0
    assert find_splats(byhand.console) == []


# ---- ops: text -----------------------------------------------------------------------------


def answers(text: str) -> list[tuple[int, ...]]:
    program = parse_program(text)
    data = Model(Facts("zspage")).run(program.wire)[: len(program) * RESULT_SIZE]
    return list(RECORDS["zsfuzz_result"].struct.iter_unpack(data))


def read_line(line: str) -> tuple[str, tuple[int, ...]]:
    """An answer in text, as the fields of a result; -1 stands for "nothing" of any width."""
    word, *fields = line.split()
    return word, tuple(int(field.split("=")[1], 0) for field in fields)


def shown(result: tuple[int, ...]) -> tuple[int, ...]:
    widths = {"zspage": 16, "value": 16, "faults": 16, "zspages": 16}
    small = {"class", "index", "owner", "tail", "group"}
    signed = []
    values = dict(zip(FIELDS, result, strict=True))
    for name in SHOWN:
        value = values[name]
        bits = widths.get(name, 8 if name in small else 0)
        signed.append(-1 if bits and value == (1 << bits) - 1 else value)
    return tuple(signed)


def test_text_gets_the_answers_that_the_model_gives(byhand: ByHand) -> None:
    lines = [
        read_line(line) for line in byhand.output("text") + byhand.output("kept for the next write")
    ]
    program = """\
        o0 = malloc(p0, size=1000, owner=c0, pattern=3)
        o1 = malloc(p1, size=32)
        read(o0)
        free(o1)
        free(o1)
        free(o0)
    """
    words = ["malloc", "malloc", "read", "free", "free", "free"]
    assert lines == list(zip(words, map(shown, answers(program)), strict=True))


def test_the_readme_shows_the_answer_that_comes(byhand: ByHand) -> None:
    shown = re.search(r"echo '(.+)' >&3\n +cat <&3\n +(.+)\n", (ROOT / "README.md").read_text())
    assert shown is not None
    assert shown[1] in Path(__file__).with_name("byhand.c").read_text()
    assert byhand.output("README") == [shown[2]]


@pytest.mark.parametrize(
    ("line", "number"),
    [
        ("no such operation", errno.EINVAL),
        ("no such field", errno.EINVAL),
        ("no value", errno.EINVAL),
        ("no number", errno.EINVAL),
        ("pool too high", errno.EINVAL),
        ("owner too high", errno.EINVAL),
        ("object too high", errno.ERANGE),
        ("size too high", errno.ERANGE),
        ("too long", errno.E2BIG),
    ],
)
def test_a_bad_line_is_refused_and_answered_by_nothing(
    byhand: ByHand, line: str, number: int
) -> None:
    assert byhand[line] == -number
    assert byhand.output(line) == []


def test_after_bad_lines_nothing_was_done(byhand: ByHand) -> None:
    (line,) = byhand.output("after bad lines")
    assert line.startswith(f"free ret={-errno.ENOENT} ")


# ---- exec: records -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("write", "number"),
    [
        ("seven bytes", errno.EINVAL),
        ("no bytes", errno.EINVAL),
        ("too many", errno.E2BIG),
        ("bad opcode", errno.EINVAL),
        ("bad pool", errno.EINVAL),
    ],
)
def test_malformed_records_are_refused(byhand: ByHand, write: str, number: int) -> None:
    assert byhand[write] == -number


def test_of_a_refused_write_nothing_is_done(byhand: ByHand) -> None:
    assert byhand["output of refused"] == 0
    assert byhand["refused did nothing"] == -errno.ENOENT


def test_a_write_whose_answers_do_not_fit_is_refused(byhand: ByHand) -> None:
    writes = byhand["writes before overflow"]
    assert writes >= 4
    assert byhand["overflow"] == -errno.ENOBUFS
    assert byhand["overflow of one"] == -errno.ENOBUFS
    assert byhand["output kept"] == writes * 1024 * RESULT_SIZE
    assert byhand["overflow did nothing"] == -errno.ENOENT


def test_output_must_be_read_before_a_program_is_finished(byhand: ByHand) -> None:
    assert byhand["finish with unread output"] == -errno.ENOBUFS
    assert byhand["unread output"] == RESULT_SIZE
    assert byhand["finish did nothing"] == 0


def test_an_unknown_ioctl_is_refused(byhand: ByHand) -> None:
    assert byhand["unknown ioctl"] == -errno.ENOTTY


def test_cgroups_are_registered_by_hand(byhand: ByHand) -> None:
    assert byhand["cgroups"] == 0
    assert byhand["cgroup twice"] == -errno.EEXIST
    assert byhand["cgroup too high"] == -errno.EINVAL
    assert byhand["root cannot be another"] == -errno.EINVAL
    assert byhand["no cgroup"] == -errno.EBADF
    assert byhand["no directory"] == 0  # fd -1: it was removed


def test_directories_are_left_to_user_space(byhand: ByHand) -> None:
    assert byhand["directory is user space's to make"] == -errno.EOPNOTSUPP
    assert byhand["directory is user space's to remove"] == -errno.EOPNOTSUPP


@pytest.mark.parametrize("number", range(len(PROGRAMS)))
def test_whole_programs_with_snapshots_answer_as_the_model_does(
    byhand: ByHand, number: int
) -> None:
    expected = Model(Facts("zspage")).run(PROGRAMS[number].wire)
    answer = bytes.fromhex(byhand.values[f"/program-{number}"])
    # What pads the answer depends on where it begins.
    assert answer.rstrip(b"\0") == expected.rstrip(b"\0")


# ---- open files ----------------------------------------------------------------------------


def test_two_open_files_do_not_disturb_each_other(byhand: ByHand) -> None:
    assert byhand["one puts"] == 0
    assert byhand["other has nothing"] == -errno.ENOENT
    assert byhand["other puts"] == 0
    assert byhand["other drops"] == 0
    assert byhand["other finishes"] == 0
    assert byhand["one still has it"] == 0


def test_closing_a_file_gives_all_zspages_back_with_locks_held(byhand: ByHand) -> None:
    assert byhand["zspages before"] == 0
    assert byhand["some zspages"] == 1
    assert [byhand[name] for name in ("read lock", "page lock", "free under lock")] == [0, 0, 0]
    assert byhand["zspages after"] == 0


def test_the_ring_has_one_user(byhand: ByHand) -> None:
    assert byhand["ring twice"] == -errno.EBUSY


def test_swap_is_not_ready_before_all_was_measured_on_a_disk(byhand: ByHand) -> None:
    assert byhand["sample of no disk"] == -errno.ERANGE
    assert byhand["sample of no type"] == -errno.ERANGE
    assert byhand["sample of no pattern"] == -errno.EINVAL
    assert byhand["ready without samples"] == -errno.ENODATA


def test_a_module_in_use_cannot_be_unloaded(byhand: ByHand) -> None:
    assert byhand["unload while open"] == -errno.EWOULDBLOCK
    assert byhand["works still"] == 0
    assert byhand["unload while ring open"] == -errno.EWOULDBLOCK


def test_an_unloaded_module_leaves_nothing(byhand: ByHand) -> None:
    assert (byhand["modules"], byhand["unload"]) == (1, 0)
    assert byhand["modules after"] == 0
    assert byhand["files after"] == -errno.ENOENT
    assert byhand["zspages after unload"] == 0


# UML's KASAN keeps the shadow of an unloaded module, so its kernel cannot load another.
@pytest.mark.parametrize("byhand", ["lockdep"], indirect=True, scope="module")
def test_an_unloaded_module_can_be_loaded_again(byhand: ByHand) -> None:
    assert (byhand["load again"], byhand["works again"], byhand["unload again"]) == (0, 0, 0)


# ---- another kernel ------------------------------------------------------------------------


def load_in(kernel: Kernel, module: bytes, folder: Path) -> ByHand:
    """Boot `kernel` with a module that is not its own, and have that loaded."""
    root = folder / "root"
    build_root(kernel, root)
    (root / "zsfuzz.ko").write_bytes(module)
    return ByHand(run_init(kernel, root, folder))


def refused(found: ByHand) -> None:
    assert found["load"] == -errno.ENOEXEC
    assert "zsfuzz: built for another kernel" in found.console
    assert found["done"] == 0
    assert find_splats(found.console) == []


@pytest.mark.parametrize("flavour", ["plain", "kasan"])
def test_a_module_for_another_kernel_is_not_loaded(flavour: str, tmp_path: Path) -> None:
    module = built("zpdesc", flavour).guest_root / "zsfuzz.ko"
    refused(load_in(built("zspage", flavour), module.read_bytes(), tmp_path))


def test_a_module_whose_kernel_has_all_distances_but_another_build_id_is_not_loaded(
    tmp_path: Path,
) -> None:
    kernel = built("zspage", "plain")
    module = (kernel.guest_root / "zsfuzz.ko").read_bytes()
    identity = bytes.fromhex(json.loads(kernel.layout.read_text())["build_id"])
    assert module.count(identity) == 1
    other = bytes([identity[0] ^ 1]) + identity[1:]
    refused(load_in(kernel, module.replace(identity, other), tmp_path))
