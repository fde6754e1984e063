# SPDX-License-Identifier: GPL-2.0-only
"""The comparison: equal answers agree, and each fault has its title."""

import re
from errno import EFAULT

import pytest
from answers import KERNEL, answer_to, tamper

from zsfuzz.oracle import GARBLED_TITLE, MAX_OTHERS, PADDING_TITLE, compare
from zsfuzz.records import RESULT_SIZE
from zsmodel import Model
from zsmodel.cgroups import Cgroup
from zsmodel.zspage import Zspage

TEXT = """
o0 = malloc(p0, size=2712, owner=c1, pattern=3)
o1 = malloc(p0, size=2712, owner=c2)
o2 = malloc(p0, size=2712)
free(o0)
read(o1)
stat(c2)
compact(p0)
shrink(p0)
classes(p0)
may_zswap(c1)
"""
PROGRAM, ANSWER = answer_to(TEXT)
Z = "p0.class[168 size=2720].z0"


def test_equal_answers_agree():
    assert compare(PROGRAM, ANSWER, ANSWER, KERNEL) is None


@pytest.mark.parametrize(
    ("path", "value", "title"),
    [
        ("op 1: ret", -12, "malloc: fails with -ENOMEM"),
        ("op 1: zspage", 3, "malloc: zspage differs"),
        ("op 1: class", 3, "malloc: size class differs"),
        ("op 1: index", 2, "malloc: slot differs"),
        ("op 1: owner", 0xFF, "malloc: owner lost"),
        ("op 1: owner", 2, "malloc: owner is another cgroup"),
        ("op 1: owner", 0xFE, "malloc: owner is a pointer to something else"),
        ("op 3: owner", 2, "malloc: new object has an owner already"),
        ("op 1: group", 11, "malloc: fullness group differs"),
        ("op 1: inuse", 9, "malloc: count of objects in the zspage is too high"),
        ("op 1: tags", 2, "malloc: memcg_data is not zero"),
        ("op 1: tag_bits", 1, "malloc: memcg_data is not zero"),
        ("op 1: tail", 1, "malloc: object without owner has one in the array of its second page"),
        ("op 1: zspages", 9, "malloc: NR_ZSPAGES is too high"),
        ("op 1: value", 9, "malloc: pages of the pool is too high"),
        ("op 1: faults", 9, "malloc: count of allocations differs"),
        ("op 4: owner", 0xFF, "free: owner lost"),
        ("op 5: value", 0xFF, "read: object content corrupted"),
        ("op 6: value", 0xFF, "stat: cgroup charged too much"),
        ("op 6: inuse", 0, "stat: cgroup counts too few zswapped objects"),
        ("op 7: value", 4, "compact: count of freed pages is too high"),
        ("op 7: inuse", 4, "compact: count of moved objects is too high"),
        ("op 8: tags", 4, "shrink: count of freeable pages is too high"),
        ("p0.pages", 9, "pages of the pool is too high"),
        ("p0.compacted", 9, "pages_compacted is too high"),
        ("p0.aware", 0, "memcg awareness of the pool differs"),
        (f"{Z.removesuffix('.z0')}.bad_groups", 2, "counter of a fullness group is not the length"),
        (f"{Z.removesuffix('.z0')}.allocated", 0, "ZS_OBJS_ALLOCATED is too low"),
        (f"{Z.removesuffix('.z0')}.inuse", 9, "ZS_OBJS_INUSE is too high"),
        (f"{Z}.inuse", 9, "count of objects in the zspage is too high"),
        (f"{Z}.page[1].memcg_data", 9, "memcg_data is not zero"),
        (f"{Z}.free", 1, "free list differs"),
        (f"{Z}.owners[0]", 1, "free slot keeps an owner"),
        (f"{Z}.owners[1]", 0xFF, "owner lost"),
        (f"{Z}.owners[1]", 1, "owner is another cgroup"),
        (f"{Z}.owners[2]", 1, "object without owner has one"),
        (f"{Z}.owners[0]", 0xFE, "owner is a pointer to something else"),
        ("o1.zspage", 5, "zspage of an object differs"),
        ("o1.zspage", -1, "handle leads to no object"),
        ("op 4: ret", -EFAULT, "handle leads to no object"),
        ("o1.index", 0, "slot of an object differs"),
        ("o1.pattern", 0xFF, "object content corrupted"),
        ("o1.pattern", 0xFE, "object header corrupted"),
        ("o1.length", 1, "length of an object is too low"),
        ("c2.zswap", 0, "cgroup charged too little"),
        ("c1.zswap", 1, "cgroup charged too much"),
        ("c1.zswapped", -1, "cgroup counts too few zswapped objects"),
        ("c1.zswapped", 1, "cgroup counts too many zswapped objects"),
        ("c1.incompressible", 1, "count of incompressible objects is too high"),
        ("op 9: value", 3, "classes: pages_used in the classes file is too high"),
        ("op 9: tags", 3, "classes: freeable in the classes file is too high"),
        ("op 9: inuse", 1, "classes: obj_used in the classes file is too low"),
        ("op 10: value", 0, "may_zswap: verdict on the limit of zswap differs"),
        ("p0.classes[168].g60", 7, "classes file differs from the classes"),
        ("p0.classes[total].freeable", 7, "classes file differs from the classes"),
        ("end.left", 8, "NR_ZSPAGES left after everything was freed"),
        ("end.left", 1, "objects left after everything was freed"),
        ("end.left", 64, "counts of an empty size class left after everything was freed"),
        ("end.left", 6, "pages and charge left after everything was freed"),
        ("end.zswap", 1, "charge left after everything was freed"),
    ],
)
def test_each_field_has_its_title(path, value, title):
    divergence = compare(PROGRAM, tamper(ANSWER, PROGRAM, path, value), ANSWER, KERNEL)
    assert divergence is not None
    assert divergence.first.path == path
    assert title in divergence.title


def test_titles_have_no_numbers_names_or_addresses():
    for at in range(len(ANSWER)):
        for value in (0, 1, 7, 0xFE, 0xFF):
            kernel = ANSWER[:at] + bytes((value,)) + ANSWER[at + 1 :]
            divergence = compare(PROGRAM, kernel, ANSWER, KERNEL)
            if divergence:
                assert not re.search(r"\d", divergence.title), divergence.title


def test_every_changed_byte_is_noticed():
    for at in range(len(ANSWER)):
        kernel = ANSWER[:at] + bytes((ANSWER[at] ^ 1,)) + ANSWER[at + 1 :]
        assert compare(PROGRAM, kernel, ANSWER, KERNEL) is not None


def test_the_earliest_operation_comes_first_and_the_snapshot_after_all():
    both = tamper(tamper(ANSWER, PROGRAM, "op 4: group", 9), PROGRAM, "c1.zswap", 9)
    divergence = compare(PROGRAM, both, ANSWER, KERNEL)
    assert (divergence.first.path, divergence.step) == ("op 4: group", 4)
    assert [other.path for other in divergence.others] == ["c1.zswap"]
    assert divergence.answers == ("0", "0")


def test_of_a_failed_operation_only_the_errno_is_told():
    program, model = answer_to("o0 = malloc(p0, size=64, owner=c1)")
    _, failed = answer_to("o0 = malloc(p3, size=64, owner=c1)")
    divergence = compare(program, failed[:RESULT_SIZE] + model[RESULT_SIZE:], model, KERNEL)
    assert divergence.title == "malloc: fails with -ENOENT"
    assert divergence.others == ()
    other = compare(program, model, failed[:RESULT_SIZE] + model[RESULT_SIZE:], KERNEL)
    assert other.title == "malloc: succeeds, not -ENOENT"


def test_records_that_one_side_lacks_are_told_once():
    program, more = answer_to("o0 = malloc(p0, size=64, owner=c1)")
    _, less = answer_to("read(o0)")
    extra = compare(program, more, more[:RESULT_SIZE] + less[RESULT_SIZE:], KERNEL)
    paths = [extra.first.path, *(other.path for other in extra.others)]
    assert "o0" in paths
    assert "o0.length" not in paths


def test_a_truncated_answer_is_not_taken_for_missing_objects():
    divergence = compare(PROGRAM, ANSWER[:-40], ANSWER, KERNEL)
    assert divergence.title == GARBLED_TITLE
    assert divergence.first is None
    assert divergence.stopped.startswith("byte ")


def test_what_differs_before_a_truncation_is_still_told():
    kernel = tamper(ANSWER, PROGRAM, "op 2: owner", 5)[:-40]
    divergence = compare(PROGRAM, kernel, ANSWER, KERNEL)
    assert divergence.title == "malloc: owner is another cgroup"
    assert divergence.stopped


def test_padding_that_differs_is_told_as_such():
    at = ANSWER.rindex(bytes((6, 0, 0, 0, 0, 0, 0, 0))) + 2
    kernel = ANSWER[:at] + b"\1" + ANSWER[at + 1 :]
    divergence = compare(PROGRAM, kernel, ANSWER, KERNEL)
    assert divergence.title == PADDING_TITLE
    assert f"byte {at} differs" in divergence.stopped


def test_the_list_of_differences_is_bounded():
    lines = "\n".join(f"o{i} = malloc(p0, size=64, owner=c1)" for i in range(60))
    program, model = answer_to(lines)
    kernel = bytearray(model)
    kernel[6 : 60 * RESULT_SIZE : RESULT_SIZE] = bytes((2,)) * 60
    divergence = compare(program, bytes(kernel), model, KERNEL)
    assert len(divergence.others) == MAX_OTHERS
    assert divergence.more == 59 - MAX_OTHERS


# ---- a kernel with a planted bug: the model, patched ---------------------------------------


def against_patched_model(text, expected):
    program, _ = answer_to(text)
    return compare(program, Model(KERNEL).run(program.wire), expected, KERNEL)


def test_a_slot_that_free_does_not_clear_is_found(monkeypatch):
    text = "o0 = malloc(p0, size=64, owner=c1)\no1 = malloc(p0, size=64)\nfree(o0)"
    _, expected = answer_to(text)
    original = Zspage.obj_free

    def keep_owner(zspage, index):
        owner = zspage.owners[index]
        original(zspage, index)
        zspage.owners[index] = owner

    monkeypatch.setattr(Zspage, "obj_free", keep_owner)
    assert against_patched_model(text, expected).title == "free slot keeps an owner"


def test_a_free_that_does_not_uncharge_is_found(monkeypatch):
    text = "o0 = malloc(p0, size=64, owner=c1)\nfree(o0)"
    _, expected = answer_to(text)
    monkeypatch.setattr(Cgroup, "uncharge", lambda cgroup, size: None)
    assert against_patched_model(text, expected).title == "cgroup charged too much"


SWAP_PROGRAM, SWAP_ANSWER = answer_to("""
page_write(v0, owner=c4, pattern=9)
page_write(v1, owner=c5, pattern=9)
page_out(v0)
page_out(v1)
stat_files(c5)
page_in(v0)
swap_compact()
writeback()
page_write(v2, owner=c4, pattern=15)
page_out(v2)
""")


@pytest.mark.parametrize(
    ("path", "value", "title"),
    [
        ("op 3: owner", 0xFF, "page_out: owner lost"),
        ("op 3: value", 1, "page_out: length of a swapped page differs"),
        ("op 5: value", 0xFF, "stat_files: cgroup charged too much"),
        ("op 5: inuse", 0, "stat_files: cgroup counts too few zswapped objects"),
        ("op 5: index", 1, "stat_files: count of incompressible objects differs"),
        ("op 6: owner", 5, "page_in: owner is another cgroup"),
        ("op 6: value", 0xFF, "page_in: page has another content after swapping in"),
        ("op 7: inuse", 1, "swap_compact: count of moved objects is too high"),
        ("op 8: value", 0, "writeback: count of pages written back is too low"),
        ("op 8: inuse", 1, "writeback: count of pages left in zswap is too high"),
        ("v1.where", 1, "page is in zswap, not on the disk"),
        ("v2.where", 0, "page is in memory, not in zswap"),
        ("v2.owner", 5, "owner is another cgroup"),
        ("v2.zspage", 0, "zspage of a swapped page differs"),
        ("v2.index", 1, "slot of a swapped page differs"),
        ("v2.length", 1, "length of a swapped page is too high"),
        ("c4.events.zswpin", 0, "zswpin of a cgroup is too low"),
        ("c4.events.zswpout", 9, "zswpout of a cgroup is too high"),
        ("c5.events.zswpwb", 0, "zswpwb of a cgroup is too low"),
        ("end.left", 16, "stored pages of zswap left after everything was freed"),
        ("end.left", 32, "pages with other contents left after everything was freed"),
    ],
)
def test_each_field_of_the_swap_path_has_its_title(path, value, title):
    changed = tamper(SWAP_ANSWER, SWAP_PROGRAM, path, value)
    divergence = compare(SWAP_PROGRAM, changed, SWAP_ANSWER, KERNEL)
    assert divergence is not None
    assert divergence.first.path == path
    assert title in divergence.title


@pytest.mark.parametrize(
    ("errno", "title"),
    [(-74, "files of the cgroup differ from its statistics"), (-3, "fails with -ESRCH")],
)
def test_files_that_differ_are_told_from_those_that_cannot_be_read(errno, title):
    at = 4 * RESULT_SIZE
    changed = SWAP_ANSWER[:at] + errno.to_bytes(2, "little", signed=True) + SWAP_ANSWER[at + 2 :]
    divergence = compare(SWAP_PROGRAM, changed, SWAP_ANSWER, KERNEL)
    assert divergence.title == f"stat_files: {title}"


def test_a_page_that_goes_elsewhere_is_told_from_one_of_another_length():
    text = "page_write(v0, owner=c4, pattern=9)\npage_out(v0)"
    program, model = answer_to(text)
    _, limited = answer_to("zswap_max(c4, pages=0)\n" + text)
    kernel = model[:RESULT_SIZE] + limited[2 * RESULT_SIZE : 3 * RESULT_SIZE]
    divergence = compare(program, kernel + model[2 * RESULT_SIZE :], model, KERNEL)
    assert divergence.title == "page_out: page goes on the disk, not in zswap"
