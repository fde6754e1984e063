# SPDX-License-Identifier: GPL-2.0-only
"""How the values in results and snapshots are shown to people: by name, else decimal and hex."""

from collections.abc import Callable
from errno import errorcode

from zsmodel.design import POINTER
from zsmodel.wire import (
    BAD_HEADER,
    CGROUPS,
    FOREIGN,
    IN_MEMORY,
    IN_ZSWAP,
    NO_LIMIT,
    NONE8,
    NONE16,
    NOWHERE,
    ON_DEVICE,
    ON_DISK,
)

Value = int | tuple[int, ...]

# On x86-64 Linux ENOTSUP and EOPNOTSUPP are one number; the kernel's word is the latter.
_ERRNO_WORDS = {"ENOTSUP": "EOPNOTSUPP", "EWOULDBLOCK": "EAGAIN", "EDEADLOCK": "EDEADLK"}
LEFTOVERS = {
    1: "objects",
    2: "pages",
    4: "charge",
    8: "NR_ZSPAGES",
    16: "stored pages of zswap",
    32: "pages with other contents",
    64: "counts of an empty size class",
}
TAGS = {1: "OBJEXTS", 2: "KMEM", 4: "bit 2"}  # enum page_memcg_data_flags


def errno_word(ret: int) -> str:
    """Name a negative errno as the kernel does, such as -ENOMEM; 'success' for 0."""
    if ret == 0:
        return "success"
    word = errorcode.get(-ret)
    return f"-{_ERRNO_WORDS.get(word, word)}" if word else "an unknown error"


def show_number(value: int) -> str:
    """Show a number in decimal, and in hex where that looks different."""
    return str(value) if 0 <= value < 10 else f"{value} ({value:#x})"


def _show_errno(value: int) -> str:
    return "0" if value == 0 else f"{errno_word(value)} ({value})"


def _show_cgroup(value: int) -> str:
    if value == NONE8:
        return "none"
    if value == FOREIGN:
        return "a cgroup that is not the program's (0xfe)"
    return f"c{value}" if value < CGROUPS else f"no cgroup ({value:#x})"


def _show_zspage(value: int) -> str:
    return "none" if value == NONE16 else f"z{value}"


def _show_byte(value: int) -> str:
    return "none" if value == NONE8 else show_number(value)


def _show_short(value: int) -> str:
    return "none" if value == NONE16 else show_number(value)


def _show_pattern(value: int) -> str:
    if value == NONE8:
        return "another content"
    return "a broken object header" if value == BAD_HEADER else show_number(value)


def _show_bits(value: int) -> str:
    bits = [str(bit) for bit in range(16) if value >> bit & 1]
    return f"{value:#x} (bits {', '.join(bits)})" if bits else "0"


def _show_leftovers(value: int) -> str:
    words = [word for bit, word in LEFTOVERS.items() if value & bit]
    return f"{value:#x} ({', '.join(words) or 'unknown'})" if value else "0"


def _show_tags(value: int) -> str:
    return "|".join(word for bit, word in TAGS.items() if value & bit) or "no tag"


def _show_tag_bits(value: int) -> str:
    return f"{_show_tags(value & 7)} in some page, {_show_tags(value >> 4)} in all"


def _show_page_state(value: int) -> str:
    if value in (NONE8, NONE16):
        return "none"
    if not value:
        return "0"
    return f"{'a pointer' if value & POINTER else 'no pointer'}, {_show_tags(value & 7)}"


def _show_limit(value: int) -> str:
    return "max" if value == NO_LIMIT else f"{value} pages"


def _show_truth(value: int) -> str:
    return {0: "no", 1: "yes"}.get(value, _show_short(value))


def _show_where(value: int) -> str:
    words = {IN_MEMORY: "memory", IN_ZSWAP: "zswap", ON_DEVICE: "disk", NOWHERE: "no object"}
    return words.get(value, show_number(value))


def _show_length(value: int) -> str:
    if value == NONE16:
        return "none"
    shown = f"{show_number(value & ~ON_DISK)} bytes"
    return f"{shown} on the disk" if value & ON_DISK else shown


def _show_exists(value: int) -> str:
    return "present" if value else "absent"


SHOWN: dict[str, Callable[[int], str]] = {
    "errno": _show_errno,
    "cgroup": _show_cgroup,
    "zspage": _show_zspage,
    "byte": _show_byte,
    "short": _show_short,
    "number": show_number,
    "pattern": _show_pattern,
    "bits": _show_bits,
    "leftovers": _show_leftovers,
    "tag_bits": _show_tag_bits,
    "page_state": _show_page_state,
    "limit": _show_limit,
    "truth": _show_truth,
    "exists": _show_exists,
    "where": _show_where,
    "length": _show_length,
}


def show(value: Value | None, kind: str) -> str:
    """Show a value of one of the kinds in SHOWN; None is a record that is absent."""
    if value is None:
        return "absent"
    if isinstance(value, tuple):
        return "[" + " ".join(SHOWN[kind](item) for item in value) + "]"
    return SHOWN[kind](value)
