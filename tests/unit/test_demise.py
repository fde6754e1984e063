# SPDX-License-Identifier: GPL-2.0-only
"""What a guest that complained, hangs or is gone has come to; the host's faults are no finding."""

from pathlib import Path

import pytest

from zsfuzz.console.complaints import find_splats, last_words
from zsfuzz.console.demise import blames_kernel, demise_of
from zsfuzz.errors import GuestHang, GuestKilled, GuestLost, HarnessError, KernelSplat
from zsfuzz.outcome import Outcome

LOGS = Path(__file__).parents[1] / "snapshots" / "console"


def log(name):
    return (LOGS / f"{name}.log").read_text().partition("\n\n")[2]


def verdict(error):
    outcome, title, _ = demise_of(error)
    return outcome, title


def test_a_host_without_memory_is_a_failure_of_the_harness():
    with pytest.raises(HarnessError, match="free some space on /dev/shm"):
        demise_of(GuestLost("the guest was killed by SIGABRT", log("host-memory")))


def test_a_guest_that_panicked_has_the_panic_for_a_title():
    lost = GuestLost("the guest was killed by SIGABRT", log("migration-loses-array"))
    assert verdict(lost) == (Outcome.KERNEL_SPLAT, "NULL pointer in obj_store_objcg")


def test_a_guest_that_says_nothing_went_away():
    lost = GuestLost("the guest exited with 0", log("silent-death"))
    assert verdict(lost) == (Outcome.GUEST_LOST, "guest went away")


def test_an_agent_that_ends_the_guest_says_why():
    title = "agent gave up serving the ring: Interrupted system call"
    assert verdict(GuestLost("exited", log("init-killed"))) == (Outcome.GUEST_LOST, title)


def test_what_the_agent_says_while_it_goes_on_is_no_last_word():
    assert last_words("zsfuzz-agent: no cgroups: No such device\nzsfuzz: serving\n") == ""


def test_a_hang_and_a_taint_without_a_word():
    hang = GuestHang("no operation was finished", log("silent-hang"))
    assert verdict(hang) == (Outcome.GUEST_HANG, "guest does not answer")
    splat = KernelSplat("the kernel complained", "")
    assert verdict(splat) == (Outcome.KERNEL_SPLAT, "kernel tainted itself without a message")


def test_a_guest_that_was_killed_from_outside_is_a_failure_of_the_harness():
    with pytest.raises(HarnessError, match="was killed by SIGKILL"):
        demise_of(GuestKilled("the guest was killed by SIGKILL", log("silent-death")))


def test_a_guest_that_complained_and_was_killed_then_has_the_complaint_for_a_title():
    lost = GuestKilled("the guest was killed by SIGKILL", log("migration-loses-array"))
    assert verdict(lost) == (Outcome.KERNEL_SPLAT, "NULL pointer in obj_store_objcg")


@pytest.mark.parametrize(
    ("name", "kernels"),
    [
        ("migration-loses-array", True),  # a complaint, then a panic
        ("silent-death", False),
        ("host-memory", False),
        ("panic", False),
    ],
)
def test_at_boot_the_first_complaint_says_whose_fault_it_is(name, kernels):
    assert blames_kernel(find_splats(log(name))) is kernels


def test_at_boot_a_want_of_memory_excuses_what_came_before():
    for end in ("out-of-memory", "host-memory"):
        assert not blames_kernel(find_splats(log("warn") + "\n" + log(end)))
