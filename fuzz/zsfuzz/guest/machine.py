# SPDX-License-Identifier: GPL-2.0-only
"""A UML kernel as a target: programs in, answers out, with a deadline on each."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from zsfuzz.errors import GuestHang, GuestKilled, GuestLost, KernelSplat, Unanswered
from zsfuzz.guest.abi import Abi
from zsfuzz.guest.lengths import check_lengths
from zsfuzz.guest.process import UmlOptions
from zsfuzz.guest.ring import Ring
from zsfuzz.guest.spares import Spares
from zsfuzz.guest.uml import Uml
from zsmodel import Kernel
from zsmodel.designs import design_by_number
from zsmodel.profile import parse_profile
from zsmodel.wire import PATTERNS

# Polls between two looks at the clock; about 0.2 ms.
_POLLS = 4000
_COMPLAINED = "the kernel complained"
_PAUSE = 0.0002  # seconds, while a batch runs, which takes milliseconds


class Machine:
    """Implements Target (see target.py).  `deadline` is in seconds without progress.

    `profile` says in what the kernel differs lawfully from the model's defaults.
    """

    def __init__(
        self,
        options: UmlOptions,
        abi: Abi,
        console: Path,
        deadline: float = 10.0,
        profile: str = "",
    ) -> None:
        self._options = options
        self._abi = abi
        self._console = console
        self._deadline = deadline
        self._profile = parse_profile(profile)
        self._spares: Spares | None = None
        self._counters: int | None = None
        self._hits: list[int] = []  # in all
        self._last_hits: list[int] = []  # what the present guest had counted when it was asked last
        self.flags = abi.constant("RUN_COVER")
        self._uml, self.ring = self._start()
        self.kernel = self._describe()
        self.starts = 1

    def _start(self) -> tuple[Uml, Ring]:
        uml = self._spares.take() if self._spares else Uml(self._options, self._console)
        place = uml.ready()
        try:
            ring = Ring(place, self._abi)
            if self._counters is not None:
                ring.map_counters(self._counters)
        except BaseException:
            uml.kill()
            raise
        return uml, ring

    def _describe(self) -> Kernel:
        features, info = self.ring.info("features"), self.ring.info
        kernel = Kernel(
            design=design_by_number(info("design")).name,
            page_size=info("page_size"),
            chain_size=info("chain_size"),
            min_alloc_size=info("min_alloc_size"),
            writeback_batch=info("writeback_batch"),
            has_memcg=bool(features & self._abi.constant("HAS_MEMCG")),
            has_migration=bool(features & self._abi.constant("HAS_MIGRATION")),
            has_faults=bool(features & self._abi.constant("HAS_FAULTS")),
            has_zswap=bool(features & self._abi.constant("HAS_ZSWAP")),
            has_classes=bool(features & self._abi.constant("HAS_CLASSES")),
            has_swap=bool(features & self._abi.constant("HAS_SWAP")),
            has_entry_owners=bool(features & self._abi.constant("HAS_ENTRY_OWNERS")),
            zswap_lengths=self.ring.info_array("zswap_lengths", PATTERNS),
            disk_lengths=self.ring.info_array("disk_lengths", PATTERNS),
            profile=self._profile,
        )
        if kernel.has_swap:
            check_lengths(kernel.zswap_lengths, kernel.disk_lengths, kernel.page_size)
        return kernel

    @property
    def owners_seen(self) -> bool | None:
        """Tell whether owners are where a foreign tree was taken to keep them; None: not tried."""
        state = self.ring.info("owners")
        if state == self._abi.constant("OWNERS_UNTRIED"):
            return None
        return state == self._abi.constant("OWNERS_SEEN")

    # ---- programs ---------------------------------------------------------------------------

    def post(self, wire: bytes) -> None:
        """Start a program."""
        self.ring.post(wire, self.flags)

    def collect(self) -> bytes:
        """Wait for its answer; what Target says, or GuestRefused, otherwise."""
        if not self.ring.answered(_POLLS):
            self._wait_for_one()
        if self.ring.info("taint"):
            answer = None if self.ring.info("status") else self.ring.result()
            raise KernelSplat(_COMPLAINED, self.console(), answer)
        self.ring.check_status()
        return self.ring.result()

    def run(self, wire: bytes) -> bytes:
        """Post and collect in one."""
        self.post(wire)
        return self.collect()

    def run_many(self, programs: Sequence[bytes]) -> list[bytes]:
        """Run several programs back to back within the module; all answers, in order."""
        self.replay(programs)
        return self.ring.results()

    def replay(self, programs: Sequence[bytes]) -> int:
        """Run several programs back to back and leave their answers in the ring; count them."""
        self.ring.post_many(programs, self.flags)
        self._wait()
        self._judge()
        return self.ring.info("done")

    def post_many(self, programs: Sequence[bytes]) -> None:
        """Start several programs, to be run back to back within the module."""
        self.ring.post_many(programs, self.flags)

    @property
    def answered(self) -> bool:
        """Tell whether what was posted last is answered, so that nobody need wait."""
        return self.ring.answered(1)

    def collect_many(self) -> list[bytes]:
        """Sleep until they have run; all answers, in order, or what `collect` raises."""
        self._wait(_PAUSE)
        self._judge()
        return self.ring.results()

    def compares(self, wire: bytes) -> list[tuple[int, int]]:
        """Run a program once more, collecting what the kernel compared."""
        self.ring.post(wire, self._abi.constant("RUN_COMPARES"))
        self._wait()
        self._judge()
        return self.ring.compares()

    def audit(self) -> int:
        """Remove and remake all cgroups; returns how many owners and cgroups stayed behind."""
        self.ring.command(self._abi.constant("CMD_AUDIT"))
        self._wait()
        self._judge()
        return self.ring.info("orphans")

    def trip(self) -> None:
        """Have the module use memory after freeing it; KernelSplat if the kernel notices."""
        self.ring.command(self._abi.constant("CMD_TRIP"))
        self._wait()
        self._judge()

    def _wait_for_one(self) -> None:
        try:
            self._wait()
        except Unanswered as error:
            raise type(error)(error.reason, error.console, self.ring.finished()) from None

    def _wait(self, pause: float = 0.0) -> None:
        """Poll with a deadline that starts anew whenever the module has done an operation.

        Time in which the guest waits for a CPU, as others have them all, does not count.
        With a `pause`, in seconds, between polls the CPU is left to others.
        """
        heartbeat, since, starved = -1, time.monotonic(), -1.0
        while not self.ring.answered(1 if pause else _POLLS):
            time.sleep(pause)
            if not self._uml.alive:
                kind = GuestKilled if self._uml.killed else GuestLost
                raise kind(f"the guest {self._uml.exit_status} in mid-program", self.console())
            beat, now = self.ring.info("heartbeat"), time.monotonic()
            if beat != heartbeat:
                heartbeat, since, starved = beat, now, -1.0
            elif starved < 0.0:  # only now: looking takes as long as a short program
                starved = self._uml.starved
            elif now - since > self._deadline + self._uml.starved - starved:
                reason = f"no operation was finished for {self._deadline:g} s"
                raise GuestHang(reason, self.console())

    def _judge(self) -> None:
        if self.ring.info("taint"):
            raise KernelSplat(_COMPLAINED, self.console())
        self.ring.check_status()

    # ---- coverage ---------------------------------------------------------------------------

    @property
    def counter_count(self) -> int:
        """Count the coverage sites; one 8-bit counter each."""
        return self.ring.info("counter_count")

    def map_counters(self, address: int) -> None:
        """Keep the coverage counters at `address` (page-aligned, reserved), over restarts too."""
        self._counters = address
        self.ring.map_counters(address)

    def hits(self) -> list[int]:
        """Count how often each coverage site was reached, over all restarts.

        A guest's own counters have 32 bits and wrap, at the busiest site after about an hour: call
        this more often than that.
        """
        now = self.ring.hits()
        self._hits = add_wrapped(self._hits or [0] * len(now), self._last_hits, now)
        self._last_hits = now
        return list(self._hits)

    # ---- life -------------------------------------------------------------------------------

    def console(self) -> str:
        """Read the console of the present guest."""
        return self._uml.console_text()

    @property
    def pid(self) -> int:
        """Name the host process of the kernel."""
        return self._uml.pid

    def restart(self) -> None:
        """Throw the guest away and start a fresh one, in well under a second."""
        self.hits()
        self._last_hits = []
        self.close()
        self._uml, self.ring = self._start()
        self.starts += 1

    @contextlib.contextmanager
    def boot_ahead(self) -> Iterator[None]:
        """Within it, from the first restart on, boot guests before they are asked for."""
        if self._spares:  # there is one within another
            yield
            return
        self._spares = Spares(self._options, self._console)
        try:
            yield
        finally:
            self._spares.close()
            self._spares = None

    def close(self) -> None:
        """End the guest; safe to call twice."""
        self._uml.kill()
        self.ring.close()

    def __enter__(self) -> Machine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def add_wrapped(totals: Sequence[int], before: Sequence[int], now: Sequence[int]) -> list[int]:
    """Add to totals what 32-bit counters have grown by since `before`, which may be empty."""
    before = before or [0] * len(now)
    return [
        total + (new - old & 0xFFFFFFFF)
        for total, old, new in zip(totals, before, now, strict=True)
    ]
