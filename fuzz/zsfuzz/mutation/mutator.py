# SPDX-License-Identifier: GPL-2.0-only
"""Mutate and cross raw bytes so that programs stay meaningful; libFuzzer calls this all the time.

It works on whole records and never unpacks a program: speed is the reason for the byte tricks.
"""

from collections.abc import Callable, Iterable, Sequence

from zsfuzz.mutation import patterns
from zsfuzz.mutation.lcg import Lcg
from zsfuzz.mutation.patterns import PATTERNS, Site, record
from zsfuzz.mutation.rawbytes import (
    ALL_FLAGS,
    COMMON,
    DEFAULT_LIMIT,
    MARK,
    WITH_CGROUPS,
    WITH_POOLS,
    WITH_SWAP,
)
from zsfuzz.mutation.sizes import SizeTable
from zsfuzz.mutation.swappatterns import swap_block, swap_program
from zsfuzz.program import PAGE_OPS, USES, Opcode
from zsmodel.classes import ClassShape

MALLOC, FREE = Opcode.MALLOC, Opcode.FREE
USUAL_LENGTH = 96  # operations; longer programs are mostly cut back before they grow again
LONGEST_BLOCK = 24  # operations, in copying, moving and deleting
# Creating and removing cgroups or pools costs as much as thousands of operations, and swapping
# pages more: such blocks are inserted seldom, and children of programs that have them mostly lose
# them.
DEAR_ONE_IN = 128
SWAP_ONE_IN = 256
DEAR_KEPT_ONE_IN = 16
NATIVE_ONE_IN = 16

# Renames every object of a block: entry k adds k to each number.
_RENAMES = tuple((bytes(range(256)) * 2)[k : k + 256] for k in range(256))

_MALLOC = bytes((MALLOC,))
_NAMES_OBJECT = bytes("object" in USES[op] and op not in PAGE_OPS for op in Opcode)
_NAMES_OBJECT += bytes(256 - len(Opcode))
# Of 6 dear blocks: what is inserted, and the header under which it may be.
_DEAR = (
    (patterns.remove_cgroup, WITH_CGROUPS),
    (patterns.another_pool, WITH_POOLS),
    (patterns.remove_cgroup, WITH_CGROUPS),
    (patterns.another_pool, WITH_POOLS),
    (patterns.whole_memory, WITH_CGROUPS),
    (patterns.classes_file, WITH_POOLS),
)

Native = Callable[[bytes, int], bytes]


class Mutator:
    """Make new inputs out of old ones; results depend on data, seed and what was learned only."""

    def __init__(
        self,
        shapes: Sequence[ClassShape],
        limit: int = DEFAULT_LIMIT,
        native: Native | None = None,
    ) -> None:
        """Take the kernel's size classes and the most operations that a program may have.

        `native` is libFuzzer's own mutation, such as atheris.Mutate; it is then used now and then.
        """
        self.sizes = SizeTable(shapes)
        self._limit = limit
        self._native = native
        self._kinds: tuple[Callable[[Lcg, bytes, int], bytes], ...] = (
            *(self._insert_pattern,) * 12,
            *(self._insert_op,) * 6,
            *(self._change_field,) * 9,
            *(self._delete,) * 5,
            *(self._copy,) * 4,
            *(self._move,) * 3,
            *(self._resize,) * 3,
            *(self._retarget,) * 2,
            *(self._repair,) * 4,
        )

    def learn(self, values: Iterable[int]) -> None:
        """Take up sizes, in bytes, that the kernel compared something with."""
        self.sizes.learn(values)

    # ---- entry points ----------------------------------------------------------------------

    def mutate(self, data: bytes, max_size: int, seed: int) -> bytes:
        """Change a program a little (atheris custom_mutator); at most max_size bytes."""
        cap = min((max_size - 1) >> 3, self._limit)
        if cap < 1:
            return data[:max_size]
        rng = Lcg(seed)
        if self._native is not None and rng.below(NATIVE_ONE_IN) == 0:
            return self._native(data, max_size)
        header = _cheapen(rng, data[0] if data else COMMON)
        ops = data[1 : 1 + (((len(data) - 1) >> 3) << 3)]
        seldom = rng.below(SWAP_ONE_IN)
        if seldom < SWAP_ONE_IN // DEAR_ONE_IN:
            header, ops = self._insert_dear(rng, header, ops, cap)
        elif seldom == SWAP_ONE_IN - 1:
            header, ops = self._insert_swap(rng, header, ops, cap)
        elif header & (MARK | WITH_SWAP) == MARK | WITH_SWAP and len(ops) >= 16:
            ops = self._mutate_swap(rng, ops, cap)
        elif len(ops) < 16:
            ops = self._generate(rng, cap)
        else:
            ops = self._mutate_ops(rng, ops, cap)
        return bytes((header,)) + ops[: cap << 3]

    def swap(self, max_size: int, seed: int) -> bytes:
        """Make a program that swaps pages, from nothing; at most max_size bytes."""
        cap = min((max_size - 1) >> 3, self._limit)
        header, ops = self._insert_swap(Lcg(seed), COMMON, b"", cap)
        return bytes((header,)) + ops[: cap << 3]

    def crossover(self, one: bytes, other: bytes, max_size: int, seed: int) -> bytes:
        """Join the head of one program to the tail of another (atheris custom_crossover)."""
        cap = min((max_size - 1) >> 3, self._limit)
        if cap < 1 or len(one) < 9 or len(other) < 9:
            return (one or other)[:max_size]
        rng = Lcg(seed)
        head_ops = 1 + rng.below((len(one) - 1) >> 3)
        start = rng.below((len(other) - 1) >> 3)
        tail = other[1 + (start << 3) : 1 + (((len(other) - 1) >> 3) << 3)]
        if rng.below(2):
            tail = _rename(tail, rng.below(256))
        # Half of the head's room at least is left to the tail, or the cap would cut it away.
        head_ops = min(head_ops, max(cap >> 1, cap - (len(tail) >> 3)))
        ops = one[1 : 1 + (head_ops << 3)] + tail
        header = _cheapen(rng, _join_headers(one[0], other[0]))
        return bytes((header,)) + ops[: cap << 3]

    # ---- what to do ------------------------------------------------------------------------

    def _mutate_ops(self, rng: Lcg, ops: bytes, cap: int) -> bytes:
        if len(ops) >> 3 > USUAL_LENGTH and rng.below(4):
            ops = _cut_back(rng, ops)
        changed = self._kinds[rng.below(len(self._kinds))](rng, ops, cap)
        if changed == ops or len(changed) < 8 or rng.below(8) == 0:
            return self._insert_pattern(rng, changed, cap)
        return changed

    def _generate(self, rng: Lcg, cap: int) -> bytes:
        ops = b""
        for _ in range(2 + rng.below(3)):
            ops = self._insert_pattern(rng, ops, cap)
        return ops

    def _insert_pattern(self, rng: Lcg, ops: bytes, cap: int) -> bytes:
        count = len(ops) >> 3
        # Blocks at the end come often: there the program's state is the richest.
        at = count if rng.below(2) else rng.below(count + 1)
        block = PATTERNS[rng.below(64)](rng, self.sizes, _site(rng, ops, at, cap))
        return ops[: at << 3] + block + ops[at << 3 :]

    def _insert_op(self, rng: Lcg, ops: bytes, _cap: int) -> bytes:
        at = rng.below((len(ops) >> 3) + 1)
        name = _live(rng, ops[0::8], ops[1::8], at)[0]
        op = 2 + rng.below(11)
        if op == MALLOC:
            owner = patterns.draw_owner(rng)
            op_bytes = record(MALLOC, name, 0, owner, self.sizes.draw(rng).payload)
        elif op == Opcode.WRITE:
            op_bytes = record(op, name, 0, patterns.draw_owner(rng), 0, rng.below(16))
        else:
            op_bytes = record(op, name, patterns.draw_pool(rng), arg=rng.below(4))
        return ops[: at << 3] + op_bytes + ops[at << 3 :]

    def _insert_dear(self, rng: Lcg, header: int, ops: bytes, cap: int) -> tuple[int, bytes]:
        pattern, flag = _DEAR[rng.below(len(_DEAR))]
        at = rng.below((len(ops) >> 3) + 1)
        block = pattern(rng, self.sizes, _site(rng, ops, at, cap))
        return _join_headers(header, MARK | flag), ops[: at << 3] + block + ops[at << 3 :]

    def _insert_swap(self, rng: Lcg, header: int, ops: bytes, cap: int) -> tuple[int, bytes]:
        # Among objects of other pools half of the time; with cgroups removed half of the time.
        flags = MARK | WITH_SWAP | (WITH_CGROUPS if rng.below(2) else 0)
        if rng.below(2):
            ops = b""
        at = rng.below((len(ops) >> 3) + 1)
        block = swap_program(rng, _site(rng, ops, at, cap))
        return _join_headers(header, flags), ops[: at << 3] + block + ops[at << 3 :]

    def _mutate_swap(self, rng: Lcg, ops: bytes, cap: int) -> bytes:
        if rng.below(2):
            return self._mutate_ops(rng, ops, cap)
        at = rng.below((len(ops) >> 3) + 1)
        block = swap_block(rng, _site(rng, ops, at, cap))
        return ops[: at << 3] + block + ops[at << 3 :]

    def _change_field(self, rng: Lcg, ops: bytes, _cap: int) -> bytes:
        at = rng.below(len(ops) >> 3) << 3
        field = rng.below(8)
        changed = bytearray(ops)
        if field < 2:
            changed[at + 1] = _live(rng, ops[0::8], ops[1::8], at >> 3)[0]
        elif field < 4:
            changed[at + 3] = patterns.draw_owner(rng)
        elif field < 6:
            size = self.sizes.draw(rng).payload
            changed[at + 4] = size & 255
            changed[at + 5] = size >> 8
        elif field == 6:
            changed[at + 6] = rng.below(16)
        else:
            changed[at + 2] = patterns.draw_pool(rng)
        return bytes(changed)

    def _delete(self, rng: Lcg, ops: bytes, _cap: int) -> bytes:
        first, last = _block(rng, ops)
        return ops[:first] + ops[last:] or ops

    def _copy(self, rng: Lcg, ops: bytes, _cap: int) -> bytes:
        first, last = _block(rng, ops)
        at = rng.below((len(ops) >> 3) + 1) << 3
        block = ops[first:last]
        if rng.below(4):
            block = _rename(block, 1 + rng.below(255))
        return ops[:at] + block + ops[at:]

    def _move(self, rng: Lcg, ops: bytes, _cap: int) -> bytes:
        first, last = _block(rng, ops)
        rest = ops[:first] + ops[last:]
        at = rng.below((len(rest) >> 3) + 1) << 3
        return rest[:at] + ops[first:last] + rest[at:]

    def _resize(self, rng: Lcg, ops: bytes, _cap: int) -> bytes:
        # One size for a whole block: its objects then share zspages.
        first, last = _block(rng, ops)
        size = self.sizes.draw(rng).payload
        count = (last - first) >> 3
        changed = bytearray(ops)
        changed[first + 4 : last : 8] = bytes((size & 255,)) * count
        changed[first + 5 : last : 8] = bytes((size >> 8,)) * count
        return bytes(changed)

    def _retarget(self, rng: Lcg, ops: bytes, _cap: int) -> bytes:
        # One pool for a whole block.
        first, last = _block(rng, ops)
        changed = bytearray(ops)
        changed[first + 2 : last : 8] = bytes((patterns.draw_pool(rng),)) * ((last - first) >> 3)
        return bytes(changed)

    def _repair(self, rng: Lcg, ops: bytes, _cap: int) -> bytes:
        # Point operations on absent objects to live ones, and second mallocs to unused names; drop
        # what has no object to work on at all.
        names = bytearray(ops[1::8])
        live: dict[int, None] = {}
        idle = []
        for at, op in enumerate(ops[0::8]):
            if op == MALLOC:
                if names[at] in live:
                    names[at] = _unused(names[at], live)
                live[names[at]] = None
            elif _NAMES_OBJECT[op]:
                if names[at] not in live:
                    if not live:
                        idle.append(at)
                        continue
                    names[at] = list(live)[rng.below(len(live))]
                if op == FREE:
                    del live[names[at]]
        repaired = bytearray(ops)
        repaired[1::8] = names
        for at in reversed(idle):
            del repaired[at << 3 : (at + 1) << 3]
        return bytes(repaired)


def _unused(name: int, live: dict[int, None]) -> int:
    return next((n for n in range(256) if n not in live), name)


def _block(rng: Lcg, ops: bytes) -> tuple[int, int]:
    # Byte offsets of a block of 1 to LONGEST_BLOCK operations, short ones more often.
    count = len(ops) >> 3
    length = 1 + rng.below(1 + rng.below(min(count, LONGEST_BLOCK)))
    first = rng.below(count - length + 1)
    return first << 3, (first + length) << 3


def _cut_back(rng: Lcg, ops: bytes) -> bytes:
    # Drop one long run: often the end, for what comes after a gap misses its objects.
    count = len(ops) >> 3
    length = count - USUAL_LENGTH + rng.below(USUAL_LENGTH >> 1)
    first = rng.below(count - length + 1) if rng.below(2) else count - length
    return ops[: first << 3] + ops[(first + length) << 3 :]


def _rename(ops: bytes, shift: int) -> bytes:
    renamed = bytearray(ops)
    renamed[1::8] = ops[1::8].translate(_RENAMES[shift])
    return bytes(renamed)


def _join_headers(one: int, other: int) -> int:
    flags = (one if one & MARK == MARK else 0) | (other if other & MARK == MARK else 0)
    flags &= ALL_FLAGS
    return MARK | flags if flags else COMMON


def _cheapen(rng: Lcg, header: int) -> int:
    if header & MARK == MARK and rng.below(DEAR_KEPT_ONE_IN):
        return COMMON
    return header


def _live(rng: Lcg, opcodes: bytes, names: bytes, at: int) -> tuple[int, int]:
    # An object that is probably live before operation `at`, and the operation that made it.
    for _ in range(3):
        made = opcodes.rfind(MALLOC, 0, 1 + rng.below(at)) if at else -1
        if made < 0:
            made = opcodes.find(MALLOC)
            return (names[made], made) if made >= 0 else (rng.below(8), 0)
        name = names[made]
        used = names.find(name, made + 1, at)
        while used >= 0 and opcodes[used] != FREE:
            used = names.find(name, used + 1, at)
        if used < 0:
            break
    return name, made


def _fresh(rng: Lcg, names: bytes) -> int:
    # The lowest run of names that seems unused: module and model are quicker with low numbers.
    for base in range(0, 256, 32):
        if base not in names and base + 8 not in names:
            return base
    return rng.below(256)


def _site(rng: Lcg, ops: bytes, at: int, cap: int) -> Site:
    names = ops[1::8]
    opcodes = ops[0::8]
    live, made = _live(rng, opcodes, names, at)
    after = opcodes[made : max(made, min(at, made + LONGEST_BLOCK))]
    run = names[made : made + len(after) - len(after.lstrip(_MALLOC))]
    return Site(live, run or bytes((live,)), _fresh(rng, names), max(1, cap - len(names)))
