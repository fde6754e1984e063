# SPDX-License-Identifier: GPL-2.0-only
"""Which errno an operation gives, and that it then changes nothing."""

from errno import (
    EAGAIN,
    EBUSY,
    EEXIST,
    EINVAL,
    EMSGSIZE,
    ENOENT,
    ENOSPC,
    EOPNOTSUPP,
    EPERM,
    ERANGE,
    ESRCH,
)

import pytest
from model_support import NOTHING, Answer, free, malloc, op

from zsmodel import Kernel, Model

TWO_PAGES = 2712
O0 = malloc(0, TWO_PAGES)
READ_LOCKED = O0 + op("read_lock", 0)
LOCKED = O0 + op("lock_page", 0, arg=1)

CASES = [
    (b"", op("pool_create", pool=0), EEXIST),
    (b"", op("pool_destroy", pool=2), ENOENT),
    (O0, op("pool_destroy"), EBUSY),
    (LOCKED + free(0), op("pool_destroy"), EBUSY),
    (O0, malloc(0, 1, pool=3, owner=7), EEXIST),
    (b"", malloc(0, 0, pool=3, owner=7), ENOENT),
    (b"", malloc(0, 0, owner=7), ESRCH),
    (b"", malloc(0, 0), EINVAL),
    (b"", malloc(0, 4097), ENOSPC),
    (b"", op("write", 0, owner=7), ENOENT),
    (READ_LOCKED, op("write", 0, owner=7, size=4000), ESRCH),
    (READ_LOCKED, op("write", 0, size=TWO_PAGES + 1), EMSGSIZE),
    (READ_LOCKED, op("write", 0, size=TWO_PAGES), EBUSY),
    (b"", op("read", 0), ENOENT),
    (b"", free(0), ENOENT),
    (READ_LOCKED, free(0), EBUSY),
    (b"", op("compact", pool=2), ENOENT),
    (b"", op("shrink", pool=2), ENOENT),
    (b"", op("flush", pool=2), ENOENT),
    (b"", op("migrate", 0, arg=2), ENOENT),
    (O0, op("migrate", 0, arg=2), ERANGE),
    (LOCKED + op("read_lock", 0), op("migrate", 0, arg=1), EAGAIN),
    (LOCKED + op("read_lock", 0), op("migrate", 0, arg=0), EBUSY),
    (b"", op("lock_page", 0), ENOENT),
    (O0, op("lock_page", 0, arg=2), ERANGE),
    (LOCKED, op("lock_page", 0, arg=1), EAGAIN),
    (b"", op("read_lock", 0), ENOENT),
    (READ_LOCKED, op("read_lock", 0), EBUSY),
    (b"", op("stat", owner=7), ESRCH),
    (b"", op("cgroup_create", owner=1, arg=0), EEXIST),
    (b"", op("cgroup_create", owner=0, arg=1), EEXIST),
    (b"", op("cgroup_create", owner=7, arg=0), ESRCH),
    (op("cgroup_remove", owner=4), op("cgroup_create", owner=7, arg=4), ESRCH),
    (b"", op("cgroup_remove", owner=7), ESRCH),
    (b"", op("cgroup_remove", owner=0), EPERM),
    (b"", op("cgroup_remove", owner=3), EBUSY),
    (b"", op("classes", pool=2), ENOENT),
    (b"", op("zswap_max", owner=7, arg=1), ESRCH),
    (b"", op("zswap_max", owner=0, arg=1), EPERM),
    (b"", op("may_zswap", owner=7), ESRCH),
]


@pytest.mark.parametrize(("before", "failing", "errno"), CASES)
def test_the_first_rule_that_matches_gives_the_errno(
    before: bytes, failing: bytes, errno: int
) -> None:
    answer = Answer(before + failing)
    assert answer.last == NOTHING | {"ret": -errno, "zspages": answer.pages}
    assert answer.snapshot == Answer(before).snapshot
    assert not any(answer.rets[:-1])


@pytest.mark.parametrize(
    ("missing", "program"),
    [
        ("has_migration", O0 + op("migrate", 0)),
        ("has_migration", O0 + op("lock_page", 0)),
        ("has_faults", op("fail_next", arg=1)),
        ("has_memcg", op("stat", owner=7)),
        ("has_memcg", op("cgroup_create", owner=1)),
        ("has_memcg", op("cgroup_remove", owner=0)),
        ("has_zswap", op("zswap_max", owner=7)),
        ("has_zswap", op("may_zswap", owner=7)),
        ("has_classes", op("classes")),
        ("has_migration", op("compact_memory")),
    ],
)
def test_what_a_kernel_lacks_is_not_supported(missing: str, program: bytes) -> None:
    answer = Answer(program, Model(Kernel("zspage", **{missing: False})))
    assert answer.last == NOTHING | {"ret": -EOPNOTSUPP, "zspages": answer.pages}


def test_without_memcg_no_cgroup_exists() -> None:
    answer = Answer(malloc(0, 1, owner=0) + malloc(0, 1), Model(Kernel("zspage", has_memcg=False)))
    assert answer.rets == [-ESRCH, 0]
    assert {record["kind"] for record in answer.snapshot} == {1, 2, 3, 4, 6}


def test_a_page_out_of_range_comes_before_missing_support() -> None:
    answer = Answer(O0 + op("migrate", 0, arg=2), Model(Kernel("zspage", has_migration=False)))
    assert answer.last["ret"] == -ERANGE


def test_a_destroyed_pool_can_be_created_with_another_awareness() -> None:
    program = op("pool_destroy") + op("pool_create", pool=0, arg=2) + malloc(0, 9, owner=1)
    answer = Answer(program)
    assert answer.results[0] == NOTHING
    assert answer.results[1] == NOTHING | {"value": 0}
    assert answer.last["owner"] == 255
