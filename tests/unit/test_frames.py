# SPDX-License-Identifier: GPL-2.0-only
"""Stack frames with their source lines; without the kernel's DWARF there are none."""

from zsfuzz.console.frames import NoPlaces, frames_of, places_of


class Asked:
    """Notes what is asked, and answers with the offset."""

    def function(self, name):
        return ""

    def frame(self, name, offset):
        return f"{name}:{offset:#x}"


def test_a_return_address_is_looked_up_at_its_call():
    (frame,) = frames_of([" [<60302a18>] ? zs_free+0xcb/0x140"], Asked())
    assert (frame.line, frame.function, frame.place) == (0, "zs_free", "zs_free:0xca")


def test_the_place_of_a_fault_is_exact():
    places = [frame.place for frame in frames_of(["RIP: 0033:zs_free+0xcb/0x140"], Asked())]
    assert places == ["zs_free:0xcb"]


def test_a_module_has_no_place_in_the_kernel():
    (frame,) = frames_of([" [<68a1746d>] ? zsf_op_run+0x4cd/0x1220 [zsfuzz]"], Asked())
    assert (frame.function, frame.place) == ("zsf_op_run", "")


def test_lines_without_a_frame_count_but_give_none():
    assert [
        f.line for f in frames_of(["Call Trace:", " a+0x1/0x2", "", " b+0x1/0x2"], Asked())
    ] == [1, 3]


def test_a_kernel_that_is_not_built_here_has_no_places():
    for manifest in ({}, {"build": "trees/gone/build-plain"}):
        assert isinstance(places_of(manifest), NoPlaces)
