# SPDX-License-Identifier: GPL-2.0-only
"""The shared ring, seen from the host: requests out, answers and coverage in.

Both sides run on the same machine and on x86 stores are seen in order, so the request number,
which is stored last, publishes all that was stored before it.
"""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Sequence
from dataclasses import dataclass

from zsfuzz.errors import GuestRefused, HarnessError
from zsfuzz.guest.abi import Abi
from zsmodel.wire import RECORDS

_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.mmap.restype = ctypes.c_void_p
_LIBC.mmap.argtypes = [
    ctypes.c_void_p,
    ctypes.c_size_t,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_long,
]
_MAP_FIXED = 0x10
_PAGE = mmap.PAGESIZE
RESULT_SIZE = RECORDS["zsfuzz_result"].size  # bytes


@dataclass(frozen=True)
class RingPlace:
    """Where the ring is: an open file and the offset and size in it, in bytes."""

    fd: int
    offset: int
    size: int


class Ring:
    """One guest's ring; valid until `close`, after which the guest must not be spoken to."""

    def __init__(self, place: RingPlace, abi: Abi) -> None:
        self._abi = abi
        self._place = place
        self._memory = mmap.mmap(place.fd, place.size, offset=place.offset)
        self.words = memoryview(self._memory).cast("I")
        self._check()
        word = abi.word
        self._request, self._reply = word["request"], word["reply"]
        self._command, self._flags = word["command"], word["flags"]
        self._programs = word["programs"]
        self._program_at = self.info("program_offset")
        self._result_at = self.info("result_offset") + abi.result_header.size
        self._size_at = self.info("result_offset") // 4
        self._sequence = self.words[self._reply]
        self._heartbeat, self._beat = word["heartbeat"], 0

    def _check(self) -> None:
        magic, version = self.info("magic"), self.info("version")
        expected = self._abi.constant("MAGIC"), self._abi.constant("VERSION")
        if (magic, version) != expected:
            raise HarnessError(
                f"no ring of version {expected[1]} in the guest's memory (found {magic:#x}, "
                f"version {version}): rebuild the module with `zsfuzz kernel build`"
            )

    def info(self, member: str) -> int:
        """Read a member of struct zsfuzz_ring."""
        return self.words[self._abi.word[member]]

    def info_array(self, member: str, count: int) -> tuple[int, ...]:
        """Read a member of struct zsfuzz_ring that is an array."""
        at = self._abi.word[member]
        return tuple(self.words[at : at + count].tolist())

    # ---- requests ---------------------------------------------------------------------------

    def post(self, program: bytes, flags: int) -> None:
        """Ask for one program; what it answered is in `result` once `answered`."""
        at = self._program_at
        data = self._abi.program_header.pack(len(program) // 8, 0) + program
        self._memory[at : at + len(data)] = data
        self._beat = self.words[self._heartbeat]
        self.command(self._abi.constant("CMD_RUN"), flags, 1)

    def post_many(self, programs: Sequence[bytes], flags: int) -> None:
        """Ask for several programs in one go; HarnessError if they do not fit."""
        pack = self._abi.program_header.pack
        data = b"".join(pack(len(p) // 8, 0) + p for p in programs)
        if len(data) > self.info("program_size"):
            raise HarnessError(f"{len(programs)} programs of {len(data)} bytes do not fit the ring")
        at = self._program_at
        self._memory[at : at + len(data)] = data
        self.command(self._abi.constant("CMD_RUN"), flags, len(programs))

    def command(self, command: int, flags: int = 0, programs: int = 0) -> None:
        """Publish a request."""
        words = self.words
        words[self._command] = command
        words[self._flags] = flags
        words[self._programs] = programs
        self._sequence = (self._sequence + 1) & 0xFFFFFFFF
        words[self._request] = self._sequence

    def answered(self, polls: int) -> bool:
        """Poll for the answer to the last request, at most `polls` times."""
        words, reply, sequence = self.words, self._reply, self._sequence
        for _ in range(polls):  # noqa: SIM110 - a generator would double the time of a poll
            if words[reply] == sequence:
                return True
        return False

    # ---- answers ----------------------------------------------------------------------------

    def check_status(self) -> None:
        """Raise GuestRefused if the module refused the last request."""
        status = self.info("status")
        if status:
            number = (1 << 32) - status
            name = os.strerror(number).lower()
            raise GuestRefused(f"the module refused a request with -{number} ({name})")

    def result(self) -> bytes:
        """Copy out the answer to a single program."""
        at = self._result_at
        return self._memory[at : at + self.words[self._size_at]]

    def finished(self) -> bytes:
        """Copy out the results of a single program that a guest had got to.

        The heartbeat counts an operation as it begins, so that the last one's may not be whole.
        """
        begun = (self.words[self._heartbeat] - self._beat) & 0xFFFFFFFF
        at = self._result_at
        return self._memory[at : at + max(0, begun - 1) * RESULT_SIZE]

    def results(self) -> list[bytes]:
        """Copy out the answers to several programs, in order."""
        header, found = self._abi.result_header, []
        at = self.info("result_offset")
        for _ in range(self.info("done")):
            size, _ops = header.unpack_from(self._memory, at)
            at += header.size
            found.append(self._memory[at : at + size])
            at += size
        return found

    def compares(self) -> list[tuple[int, int]]:
        """Copy out the comparison operands that were collected."""
        record, at = self._abi.compare, self.info("compare_offset")
        pairs = (
            record.unpack_from(self._memory, at + i * record.size)
            for i in range(self.info("compares"))
        )
        return [(left, right) for left, right, *_ in pairs]

    def hits(self) -> list[int]:
        """Copy out how often each coverage site was reached since the guest started."""
        at = self.info("hit_offset") // 4
        return self.words[at : at + self.info("counter_count")].tolist()

    def map_counters(self, address: int) -> None:
        """Map the pages of the coverage counters at `address`, over what is mapped there."""
        offset = self._place.offset + self.info("counter_offset")
        size = -(-self.info("counter_count") // _PAGE) * _PAGE
        got = _LIBC.mmap(
            address,
            size,
            mmap.PROT_READ | mmap.PROT_WRITE,
            mmap.MAP_SHARED | _MAP_FIXED,
            self._place.fd,
            offset,
        )
        if got != address:
            error = os.strerror(ctypes.get_errno()).lower()
            raise HarnessError(f"mapping the coverage counters: {error}")

    def close(self) -> None:
        """Unmap the ring, if that was not done yet; counters stay mapped where they were put."""
        if self._memory.closed:
            return
        self.words.release()
        self._memory.close()
        os.close(self._place.fd)
