# SPDX-License-Identifier: GPL-2.0-only
"""A toy kernel tree that builds in a second: one file, the structures, and a Makefile."""

from __future__ import annotations

import subprocess
from pathlib import Path

ZSMALLOC = """\
#include <stdio.h>
struct list_head { struct list_head *next, *prev; };
struct obj_cgroup;
enum fullness_group { ZS_INUSE_RATIO_0, NR_FULLNESS_GROUPS = 12 };
enum class_stat_type { ZS_OBJS_ALLOCATED = NR_FULLNESS_GROUPS, ZS_OBJS_INUSE, NR_CLASS_STAT_TYPES };
struct zs_size_stat { unsigned long objs[NR_CLASS_STAT_TYPES]; };
struct zs_pool_stats { unsigned long pages_compacted; };
struct size_class {
	int lock; struct list_head fullness_list[NR_FULLNESS_GROUPS];
	int size, objs_per_zspage, pages_per_zspage; unsigned int index; struct zs_size_stat stats;
};
struct zs_pool {
	const char *name; struct size_class *size_class[255]; unsigned long pages_allocated;
	struct zs_pool_stats stats; void *shrinker; int lock;
};
struct page { unsigned long flags, words[6]; unsigned long memcg_data; };
struct zpdesc {
	unsigned long flags; struct list_head lru; unsigned long movable_ops;
	union { struct zpdesc *next; unsigned long handle; };
	struct zspage *zspage; unsigned int first_obj_offset, refcount;
#ifdef ZPDESC
#define OWNER , struct obj_cgroup *owner
	unsigned long objcgs;
#endif
};
struct zspage_lock { int lock, cnt; };
struct zspage {
	struct { unsigned int huge:1, fullness:4, class:9, magic:8; };
	unsigned int inuse, freeobj; struct zpdesc *first_zpdesc; struct list_head list;
	struct zs_pool *pool; struct zspage_lock zsl;
#ifdef ZSPAGE
#undef OWNER
#define OWNER , struct obj_cgroup *owner
	struct obj_cgroup **owners;
#endif
};
int zsmalloc_mops; struct page one_page; struct zspage one_zspage; struct size_class one_class;
#ifdef COVER
void __sanitizer_cov_trace_pc(void);
__attribute__((no_sanitize_coverage)) void __sanitizer_cov_trace_pc(void)
{ printf("%p\\n", __builtin_return_address(0)); }
#endif
typedef unsigned int gfp_t;
#ifndef OWNER
#define OWNER
#endif
struct zs_pool *zs_create_pool(const char *name) { return (void *)name; }
void zs_free(struct zs_pool *pool, unsigned long handle) { one_page.flags = (long)pool + handle; }
__attribute__((noinline))
unsigned long zs_malloc(struct zs_pool *pool, size_t size, gfp_t gfp, const int nid)
{
	if (size > 10)
		return pool ? NR_FULLNESS_GROUPS : ZS_OBJS_INUSE;
	return gfp + nid;
}
void zs_obj_write(struct zs_pool *pool, unsigned long handle, void *mem, size_t len OWNER)
{ one_zspage.pool = pool; one_page.flags = handle + len + (mem != 0); }
int main(int argc, char **argv)
{
	zs_create_pool(argv[0]);
	return zs_malloc(0, argc > 1 ? 100 : 1, 0, 0) > 100;
}
"""

MAKEFILE = """\
VERSION = 7
PATCHLEVEL = 2
SUBLEVEL = 99
EXTRAVERSION =
CC_FLAGS := -g -gdwarf-5 -O1 -no-pie -Wl,--build-id
ifdef M
modules:
	gcc -g -O1 -fno-eliminate-unused-debug-types -c $(M)/wire.c -o $(M)/zsfuzz.ko
else
tinyconfig:
	echo CONFIG_SIZE=y > $(O)/.config
olddefconfig:
	sed -i /CONFIG_VANISHES/d $(O)/.config
	sed -i 's/CONFIG_LONG=y/&\\nCONFIG_LONG_DEFAULT=y/' $(O)/.config
	mkdir -p $(O)/include/config
	grep CONFIG_LONG= $(O)/.config > $(O)/long || true
	cmp -s $(O)/long $(O)/include/config/LONG || cp $(O)/long $(O)/include/config/LONG
vmlinux: $(O)/vmlinux
$(O)/vmlinux: $(O)/zsmalloc.o
	@echo "  LD      vmlinux"
	gcc $(CC_FLAGS) $< -o $@
$(O)/zsmalloc.o: mm/zsmalloc.c $(O)/include/config/LONG
	@echo "  CC      mm/zsmalloc.o"
	echo 'deps := ../mm/zsmalloc.c $$(wildcard include/config/LONG)' > $(O)/.zsmalloc.o.cmd
	gcc $(CC_FLAGS) -c $< -o $@
modules: vmlinux
	echo "include $(CURDIR)/Makefile" > $(O)/Makefile
endif
"""

PATCH = """\
--- a/mm/zsmalloc.c
+++ b/mm/zsmalloc.c
@@ -1,4 +1,5 @@
 #include <stdio.h>
+#define ZSPAGE
 struct list_head { struct list_head *next, *prev; };
 struct obj_cgroup;
 enum fullness_group { ZS_INUSE_RATIO_0, NR_FULLNESS_GROUPS = 12 };
"""


def write_tree(path: Path) -> Path:
    (path / "mm").mkdir(parents=True)
    (path / "mm" / "zsmalloc.c").write_text(ZSMALLOC)
    (path / "Makefile").write_text(MAKEFILE)
    (path / "COPYING").write_text("as you like\n")
    return path


def write_project(path: Path) -> Path:
    """Write what the builder reads of the project: a series, fragments, the module, the agent."""
    series, variants = "kernel/series/7.2", "kernel/config/variants"
    for name in (f"{series}/common", f"{series}/zspage", variants, "agent"):
        (path / name).mkdir(parents=True)
    (path / "kernel/series/7.2/zspage/0001-zspage.patch").write_text(PATCH)
    (path / "kernel/config/base.config").write_text("CONFIG_BASE=y # to have one\n")
    (path / "kernel/config/plain.config").write_text("CONFIG_DEBUG=n\n")
    (path / variants / "long.config").write_text("CONFIG_LONG=y\n")
    (path / variants / "quiet.config").write_text("CONFIG_QUIET=y\n")
    (path / variants / "still.config").write_text("CONFIG_STILL=y\n")
    (path / "Kbuild").write_text("obj-m := zsfuzz.o\n")
    (path / "agent" / "agent.c").write_text("int main(void) { return 0; }\n")
    (path / "wire.c").write_text("struct zsfuzz_op { unsigned char op; short size; };\n")
    return path


def compile_image(folder: Path, *flags: str) -> Path:
    """Compile the toy as an executable with DWARF, in the layout of a kernel tree."""
    write_tree(folder)
    image = folder / "vmlinux"
    options = ["-g", "-gdwarf-5", "-O1", "-no-pie", "-Wl,--build-id", *flags]
    command = ["gcc", *options, "mm/zsmalloc.c", "-o", str(image)]
    subprocess.run(command, cwd=folder, check=True)
    return image
