# SPDX-License-Identifier: GPL-2.0-only
"""The small programs that tell one profile from another."""

from __future__ import annotations

from dataclasses import dataclass

from zsfuzz.program import Program
from zsfuzz.text import parse_program


@dataclass(frozen=True)
class Question:
    """Options that are asked for together, and programs whose answers depend on them.

    Of each program the name says what it tries, as "3300 bytes".
    """

    options: tuple[str, ...]
    programs: tuple[tuple[str, Program], ...]
    needs: str = ""  # the field of zsmodel.Kernel without which it cannot be asked


def _ask(options: str, needs: str = "", /, **texts: str) -> Question:
    programs = ((name.replace("_", " "), parse_program(text)) for name, text in texts.items())
    return Question(tuple(options.split()), tuple(programs), needs)


def _written(size: int, length: int) -> str:
    return f"o0 = malloc(p0, size={size})\nwrite(o0, length={length}, owner=c1)\nstat(c1)\n"


def _owned(size: int) -> str:
    return f"o0 = malloc(p0, size={size}, owner=c1)\nstat(c1)\n"


def _again(size: int, *, length: int, owner: str) -> str:
    write = f"write(o0, length={length}{owner})\n"
    look = "stat(c1)\nstat(c2)\n"
    return f"o0 = malloc(p0, size={size}, owner=c1)\n{write}{look}free(o0)\n{look}"


def _spanning(size: int) -> str:
    return "".join(f"o{n} = malloc(p0, size={size}, owner=c1)\n" for n in range(3))


def _new_zspages(*sizes: int) -> str:
    # The first object of a class takes a new zspage: what is left of nth is what it allocated.
    return "".join(
        f"fail_next(nth=200)\no{n} = malloc(p0, size={s})\n" for n, s in enumerate(sizes)
    )


def _stored(pattern: int) -> str:
    return f"page_write(v0, owner=c4, pattern={pattern})\npage_out(v0)\nstat_files(c4)\n"


# In this order: what one answers is taken for granted by those after it.
QUESTIONS = (
    _ask(
        "array-allocations",
        "has_faults",
        zspages_of_2_and_4_pages=_new_zspages(2712, 3256),
        zspages_of_1_and_5_pages=_new_zspages(2040, 3400),
    ),
    _ask(
        "charge-time charge-unit",
        **{
            "40 of 100 bytes": _written(100, 40),
            "1000 of 2040 bytes": _written(2040, 1000),
            "3257 of 3300 bytes": _written(3300, 3257),
            "3600 bytes": _written(3600, 3600),
            "malloc of 2040 bytes": _owned(2040),
            "malloc of 3300 bytes": _owned(3300),
        },
    ),
    _ask(
        "root-owner",
        **{f"{n} bytes": f"o0 = malloc(p0, size={n}, owner=c0)\nstat(c0)\n" for n in (2040, 3300)},
    ),
    _ask(
        "rewrite unowned-write same-owner-write",
        **{
            f"{n} bytes, {how}": _again(n, length=n // 3, owner=owner)
            for n in (1360, 3300)
            for how, owner in (
                ("another owner", ", owner=c2"),
                ("no owner", ""),
                ("same owner", ", owner=c1"),
            )
        },
    ),
    _ask(
        "pools",
        objects_without_owner="o0 = malloc(p1, size=2040)\n",
        objects_with_owner="o0 = malloc(p1, size=2040, owner=c1)\nstat(c1)\n",
    ),
    _ask("span-entries", **{f"{n} bytes": _spanning(n) for n in (2712, 3256)}),
    _ask(
        "incompressible",
        "has_swap",
        an_object_of_a_page=_owned(4096),
        a_page_that_does_not_compress=_stored(15),
        a_page_that_compresses_a_little=_stored(14),
        a_page_that_compresses_well=_stored(6),
    ),
)
