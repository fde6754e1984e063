# SPDX-License-Identifier: GPL-2.0-only
"""Which function of a stack tells something."""

from zsfuzz.console.stackframes import telling_function


def test_functions_that_only_report_are_passed_over():
    lines = [" dump_stack_lvl+0x5d/0x80", " __kasan_report+0xda/0x110", " zs_free+0x10/0x20"]
    assert telling_function(lines) == "zs_free"


def test_nothing_returns_to_the_first_byte_of_a_function():
    lines = [" [<60012345>] ? obj_free+0x0/0x20", " [<60012346>] ? zs_compact+0x44/0x90"]
    assert telling_function(lines) == "zs_compact"


def test_frames_without_a_question_mark_go_first():
    lines = [" [<60012345>] ? stale+0x10/0x20", " zs_malloc+0x44/0x90"]
    assert telling_function(lines) == "zs_malloc"


def test_where_memory_came_from_is_not_where_the_fault_is():
    lines = [" [<60012345>] ? obj_free+0x1/0x20", "Allocated by task 29:", " zs_malloc+0x44/0x90"]
    assert telling_function(lines) == "obj_free"


def test_suffixes_of_the_compiler_are_dropped():
    assert telling_function([" zs_obj_write.part.0.isra.0+0x1/0x2"]) == "zs_obj_write"


def test_locks_that_are_held_are_an_aside():
    assert telling_function([" #0: (&class->lock){+.+.}-{2:2}, at: zs_free+0x8c/0x2a0"]) == ""


def test_no_frame_no_function():
    assert telling_function(["zsfuzz: serving"]) == ""
