# SPDX-License-Identifier: MIT
# GNU make. `make help` lists the targets; every path below may be set on the command line.
MAKEFLAGS += --no-builtin-rules
.SUFFIXES:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := all

B        := build
DEPS_DIR ?= $(B)/deps
PREFIX   ?= /usr/local
CFLAGS   ?= -Os -g
SECONDS  ?= 20
SIZE_BUDGET ?= 1300000
VERSION  := $(or $(VERSION),$(shell cat VERSION))
COMMIT   := $(or $(COMMIT),$(shell [ -e .git ] && git rev-parse --short=10 HEAD 2>/dev/null))
# CC builds the tests (glibc), MUSL_CC the program. On a musl system they are the same compiler.
ifeq ($(origin CC),default)
CC := gcc
endif
MUSL_CC  ?= $(if $(findstring musl,$(shell $(CC) -dumpmachine)),$(CC),musl-gcc)
CLANG    ?= clang
STRIP    ?= strip
# The CA certificates that are compiled in for systems that have none; ROOTS=0 leaves them out. HOSTCC builds the tool.
ROOTS    ?= /etc/ssl/certs/ca-certificates.crt
HOSTCC   ?= cc
# A clock that stands before this time cannot be right; certificates are then checked as of it.
EPOCH    := $(or $(SOURCE_DATE_EPOCH),$(shell [ -e .git ] && git log -1 --format=%ct 2>/dev/null),$(shell \
            echo $$(($$(date +%s) / 86400 * 86400))))
OBJCOPY  ?= objcopy
Q        := $(if $(V),,@)
comma    := ,
say       = $(if $(V),,@printf '  %-6s %s\n' $(1) $(2))

# ---- sources --------------------------------------------------------------------------------------------
OURS     := $(sort $(wildcard lib/*/*.c json/*.c http/*.c s3/*.c applets/*.c))
UNIT     := $(patsubst tests/unit/%.c,%,$(sort $(wildcard tests/unit/test_*.c)))
SUPPORT  := $(wildcard tests/support/*.c)
MODEL    := $(wildcard tests/model/*.c)
FUZZ     := $(patsubst tests/fuzz/%.c,%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
# The sanitizers look into what reads foreign bytes next to our code; SQLite and BearSSL are compiled for them only
# once, without, because SQLite alone takes minutes with everything on.
DEP_SAN  := lz4/lib/lz4.c \
            $(addprefix libyaml/src/,api.c reader.c scanner.c parser.c loader.c)
DEP_SRC  := $(DEP_SAN) sqlite/sqlite3.c \
            $(sort $(patsubst $(DEPS_DIR)/%,%,$(wildcard $(DEPS_DIR)/bearssl/src/*.c $(DEPS_DIR)/bearssl/src/*/*.c)))
ifeq ($(filter help clean distclean deps,$(MAKECMDGOALS)),)
include $(DEPS_DIR)/ready.mk
endif
$(DEPS_DIR)/ready.mk: scripts/deps
	$(Q)DEPS_DIR='$(DEPS_DIR)' scripts/deps

# ---- flags ----------------------------------------------------------------------------------------------
WARN     := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition \
            -Wpointer-arith -Wwrite-strings -Wundef -Wvla -Wformat=2 -Wcast-qual -Wimplicit-fallthrough
COMMON   := -std=c11 -D_GNU_SOURCE -I.
# Frame pointers where a daemon spends its time: profiles walk them (lib/os/thread.c). What lies above the loop, and small
# functions at the bottom, do without, as libraries do: that saves a third of what they cost.
FRAMELESS := applets/% json/% lib/base/% lib/config/% lib/restore/%
frames    = $(if $(filter $(FRAMELESS),$(1)),,-fno-omit-frame-pointer)
DEP_INC  := -isystem $(DEPS_DIR)/sqlite -isystem $(DEPS_DIR)/lz4/lib -isystem $(DEPS_DIR)/bearssl/inc \
            -isystem $(DEPS_DIR)/libyaml/include
# Our databases are the users' databases: whatever their schema may hold (JSON, UTF-16, quoted strings, window
# functions) must parse. What goes is what only an application would call. A small page cache, no memory set
# aside, and temporary data in memory, because a scratch image has no folder for it.
SQLITE   := -DSQLITE_THREADSAFE=2 -DSQLITE_DEFAULT_MEMSTATUS=0 -DSQLITE_MAX_MMAP_SIZE=0 -DSQLITE_TEMP_STORE=3 \
            -DSQLITE_DEFAULT_CACHE_SIZE=4 -DSQLITE_DEFAULT_PCACHE_INITSZ=0 -DSQLITE_DEFAULT_LOOKASIDE=0,0 \
            -DSQLITE_DEFAULT_WAL_SYNCHRONOUS=1 -DSQLITE_LIKE_DOESNT_MATCH_BLOBS -DHAVE_FDATASYNC=1 \
            -DHAVE_USLEEP=1 -DHAVE_LOCALTIME_R=1 \
            $(addprefix -DSQLITE_OMIT_,LOAD_EXTENSION SHARED_CACHE AUTHORIZATION TRACE PROGRESS_CALLBACK \
            DEPRECATED DECLTYPE COMPLETE GET_TABLE TCL_VARIABLE INCRBLOB LOOKASIDE XFER_OPT COMPILEOPTION_DIAGS)
# What each dependency is compiled with, by the first folder of its path.
DEP_sqlite  := $(SQLITE)
DEP_libyaml  = -I$(DEPS_DIR)/libyaml/include -DYAML_VERSION_MAJOR=0 -DYAML_VERSION_MINOR=2 -DYAML_VERSION_PATCH=5 \
               -DYAML_VERSION_STRING=\"0.2.5\"
DEP_bearssl  = -I$(DEPS_DIR)/bearssl/inc -I$(DEPS_DIR)/bearssl/src
HOT      := lib/base/crc64% lib/base/sha256% lib/ltx/% lib/wal/% lz4/lib/lz4
COLD     := sqlite/% libyaml/% applets/% lib/config/% lib/control/% s3/% http/% json/%
# The same optimisation as CFLAGS asks for, but a -Os becomes -O2 where the bytes flow, and what is smaller still where
# they do not (8 KB), if the compiler knows that.
OZ       := $(if $(shell $(MUSL_CC) -Oz -E -x c /dev/null 2>&1 >/dev/null),-Os,-Oz)
opt       = $(subst -Os,$(if $(filter $(HOT),$(1)),-O2,$(if $(filter $(COLD),$(1)),$(OZ),-Os)),$(CFLAGS))

F_ship   := -fPIE -fstack-protector-strong -fvisibility=hidden -ffunction-sections -fdata-sections \
            -fno-asynchronous-unwind-tables -fno-unwind-tables
CC_ship  := $(MUSL_CC)
# What only the tests use of SQLite (and the asserts of libyaml); the rest of what the program never asks of it goes with
# scripts/sqlite-trim. Together 160 KB.
D_ship    = -DNDEBUG -DSQLITE_UNTESTABLE $(addprefix -DSQLITE_OMIT_,DESERIALIZE ALTERTABLE ANALYZE REINDEX EXPLAIN FOREIGN_KEY \
            VIRTUALTABLE AUTOMATIC_INDEX OR_OPTIMIZATION LIKE_OPTIMIZATION BETWEEN_OPTIMIZATION TRUNCATE_OPTIMIZATION \
            FLAG_PRAGMAS SCHEMA_PRAGMAS INTROSPECTION_PRAGMAS)
TRIM_ship = $(shell cksum <scripts/sqlite-trim) $(OZ)
CC_test   = $(CC)
F_test    = -O1 -g -DOS_FAULTS=1 -pthread $(TEST_CFLAGS)
CC_asan   = $(CC)
# -w: gcc warns wrongly about instrumented code; the plain build and lint have seen the same lines.
F_asan    = $(F_test) -w -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
D_asan    = -fno-sanitize=undefined
CC_tsan   = $(CC)
F_tsan    = $(F_test) -w -fsanitize=thread
CC_fuzz   = $(CLANG)
F_fuzz    = $(F_test) -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
D_fuzz    = -fno-sanitize=undefined
FLAVOURS := ship test asan tsan fuzz

# ---- rules that every flavour has -------------------------------------------------------------------------
# stamp: a file that is rewritten only when its text changes; what depends on it is rebuilt only then.
stamp = @mkdir -p $(@D); printf '%s\n' '$(1)' | cmp -s - $@ || printf '%s\n' '$(1)' >$@
define link
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC_$(1)) $(F_$(1)) -o $@ $(2) $(filter %.o %.a,$^) -lm
endef
dep = $(CC_$(1)) -w $(F_$(1)) $(D_$(1)) $(opt_$(1)) $(DEP_$(firstword $(subst /, ,$*)))
# The objects of the dependencies may be shared by several checkouts (DEPS_DIR): their folder is named after their
# flags, and each file appears by a rename, so that no one ever sees another's half-written or differing one.
define flavour
O_$(1)  := $(B)/obj/$(1)
ID_$(1) := $$(shell printf '%s' '$$(CC_$(1)) $(if $(filter ship,$(1)),$$(CFLAGS)) $$(F_$(1)) $$(D_$(1)) \
            $$(DEP_sqlite) $$(DEP_libyaml) $$(DEP_bearssl)$(if $(filter ship,$(1)), $$(TRIM_ship))' | cksum | cut -c 1-6)
X_$(1)  := $$(DEPS_DIR)/obj-$(1)-$$(ID_$(1))
L_$(1)  := $$(O_$(1))/libours.a $$(X_$(1))/libdeps.a $(if $(filter ship test,$(1)),,$$(X_test)/libdeps.a)
S_$(1)  := $$(SUPPORT:%.c=$$(O_$(1))/%.o)
opt_$(1) = $(if $(filter ship,$(1)),$$(call opt,$$*) $$(CPPFLAGS))
$$(O_$(1))/flags: FORCE
	$$(call stamp,$$(CC_$(1)) $(if $(filter ship,$(1)),$$(CFLAGS) $$(CPPFLAGS) $$(LDFLAGS) $$(RELR)) $$(WARN) $$(COMMON) \
	$$(DEP_INC) $$(F_$(1)))
$$(O_$(1))/sources: FORCE
	$$(call stamp,$$(OURS) $$(SUPPORT) $$(MODEL))
$$(O_$(1))/%.o: %.c $$(O_$(1))/flags | toolchain-$(1)
	$$(call say,CC,$(1)/$$<)
	@mkdir -p $$(@D)
	$$(Q)$$(CC_$(1)) $$(COMMON) $$(WARN) $$(DEP_INC) $$(F_$(1)) $$(call frames,$$*) $$(opt_$(1)) $$(DEFS) -MMD -MP -c -o $$@ $$<
$$(O_$(1))/libours.a: $$(patsubst %.c,$$(O_$(1))/%.o,$$(filter-out applets/main.c,$$(OURS))) $$(O_$(1))/sources
	$$(Q)rm -f $$@ && $$(AR) qcs $$@ $$(filter %.o,$$^)
$$(X_$(1))/%.o: $$(DEPS_DIR)/%.c | toolchain-$(1)
	$$(call say,CC,$(1)/$$*.c)
	@mkdir -p $$(@D)
	$$(Q)$$(call dep,$(1)) -c -o $$@.$$$$$$$$ $$< && mv $$@.$$$$$$$$ $$@ || { rm -f $$@.$$$$$$$$; exit 1; }
$$(X_$(1))/libdeps.a: $$(patsubst %.c,$$(X_$(1))/%.o,$(if $(filter ship test,$(1)),$$(DEP_SRC),$$(DEP_SAN)))
	$$(Q)rm -f $$@.$$$$$$$$ && $$(AR) qcs $$@.$$$$$$$$ $$^ && mv $$@.$$$$$$$$ $$@
$$(O_$(1))/applets/%.o: DEFS = -DRIVULET_VERSION=\"$$(VERSION)\" -DRIVULET_COMMIT=\"$$(COMMIT)\"
$$(patsubst %.c,$$(O_$(1))/%.o,$$(filter applets/%,$$(OURS))): $(B)/obj/version
$$(O_$(1))/http/tls.o: DEFS = -DRIVULET_BUILD_EPOCH=$$(EPOCH)
$$(O_$(1))/http/tls.o: $(B)/obj/epoch
$$(O_$(1))/http/trust.o: DEFS = -DROOTS_GZ=\"$(B)/obj/roots.gz\"
$$(O_$(1))/http/trust.o: $(B)/obj/roots.gz
$$(O_$(1))/lib/control/page.o: DEFS = -DPAGE_GZ=\"$(B)/obj/page.gz\"
$$(O_$(1))/lib/control/page.o: $(B)/obj/page.gz
$$(B)/$(1)/test_%: $$(O_$(1))/tests/unit/test_%.o $$(S_$(1)) $$(L_$(1))
	$$(call link,$(1))
$$(B)/$(1)/model: $$(MODEL:%.c=$$(O_$(1))/%.o) $$(S_$(1)) $$(L_$(1))
	$$(call link,$(1))
endef
$(foreach f,$(FLAVOURS),$(eval $(call flavour,$(f))))
$(X_ship)/sqlite/sqlite3.o: $(X_ship)/%.o: $(DEPS_DIR)/%.c scripts/sqlite-trim | toolchain-ship
	$(call say,CC,ship/$*.c)
	@mkdir -p $(@D)
	$(Q)scripts/sqlite-trim $< >$@.$$$$.c && $(call dep,ship) -c -o $@.$$$$ $@.$$$$.c && mv $@.$$$$ $@; \
	code=$$?; rm -f $@.$$$$ $@.$$$$.c; exit $$code
$(B)/fuzz/fuzz_%: $(O_fuzz)/tests/fuzz/fuzz_%.o $(L_fuzz)
	$(call link,fuzz,-fsanitize=fuzzer)
$(O_fuzz)/tests/fuzz/%.o: DEFS = -Wno-missing-prototypes
$(B)/obj/version: FORCE
	$(call stamp,$(VERSION) $(COMMIT))
$(B)/obj/epoch: FORCE
	$(call stamp,$(EPOCH))
$(B)/obj/roots.from: FORCE
	$(call stamp,$(ROOTS) $(shell cksum 2>/dev/null <$(ROOTS)))
$(B)/obj/roots: scripts/roots.c
	@mkdir -p $(@D)
	$(Q)$(HOSTCC) -O1 -o $@ $<
# Packed they are 18 KB smaller (lib/base/embed.h).
$(B)/obj/roots.gz: $(B)/obj/roots $(B)/obj/roots.from
	$(call say,GZIP,$(ROOTS))
	$(Q)$(B)/obj/roots $(ROOTS) >$(@:.gz=.bin) && gzip -9nc $(@:.gz=.bin) >$@
$(B)/obj/page.gz: lib/control/page.html
	@mkdir -p $(@D)
	$(call say,GZIP,$<)
	$(Q)gzip -9nc $< >$@
want = @command -v $(firstword $(1)) >/dev/null || { echo '$(firstword $(1)) not found: $(2)' >&2; exit 1; }
toolchain-ship:
	$(call want,$(MUSL_CC),install musl-tools (Debian) or name a compiler for musl with MUSL_CC=)
toolchain-test toolchain-asan toolchain-tsan: ;
toolchain-fuzz:
	$(call want,$(CLANG),install clang or name it with CLANG=)
-include $(shell find $(B)/obj -name '*.d' 2>/dev/null)

# ---- the program ------------------------------------------------------------------------------------------
# musl-gcc takes -static-pie without a word and makes a dynamic program. What works is to name musl's start files;
# its -print-file-name answers with those of glibc, so their folder is read from its link command.
ifeq ($(notdir $(firstword $(MUSL_CC))),musl-gcc)
H        := \#
CRT       = $(shell $(MUSL_CC) -static '-$(H)$(H)$(H)' -x c /dev/null 2>&1 | tr ' ' '\n' | sed -n '/crti\.o$$/{s,/[^/]*$$,,p;q;}')
PIE_HEAD  = -nostartfiles -static -Wl,-pie,--no-dynamic-linker $(CRT)/rcrt1.o $(CRT)/crti.o
PIE_TAIL  = $(CRT)/crtn.o
# Packed relocations, 41 KB less (lib/os/entry.c); RELR= goes without.
RELR     ?= $(if $(filter x86_64% aarch64%,$(shell $(MUSL_CC) -dumpmachine)),$(findstring pack-relative-relocs,$(shell ld --help)))
PIE_HEAD += $(if $(RELR),-Wl$(comma)-z$(comma)pack-relative-relocs$(comma)-e$(comma)os_entry)
$(O_ship)/lib/os/entry.o: DEFS = $(if $(RELR),-DRIVULET_RELR)
else
PIE_HEAD = -static-pie
endif
# No LTO: SQLite is one file already; measured, it adds 500 bytes and makes the build half as slow again.
SHIP_LD  := -Wl,--gc-sections,-z,relro,-z,now,-z,noexecstack,--build-id=sha1 \
            -Wl,--wrap=malloc,--wrap=realloc,--wrap=free
all: $(B)/rivulet
$(B)/rivulet.debug: $(OURS:%.c=$(O_ship)/%.o) $(X_ship)/libdeps.a $(O_ship)/sources $(O_ship)/flags
	$(call say,LD,$@)
	$(Q)$(MUSL_CC) $(CFLAGS) $(PIE_HEAD) $(SHIP_LD) $(LDFLAGS) -Wl,-Map=$(B)/rivulet.map -o $@ $(filter %.o %.a,$^) $(PIE_TAIL)
# The names of functions stand in a section that is not loaded: profiles are readable, memory is not touched.
$(B)/rivulet: $(B)/rivulet.debug scripts/names
	$(Q)scripts/names $< >$(B)/rivulet.names
	$(Q)$(STRIP) -s -R .comment -o $@ $<
	$(Q)$(OBJCOPY) --add-section .rivulet.names=$(B)/rivulet.names $@
size: $(B)/rivulet
	$(Q)scripts/size $(B)/rivulet.map $(B)/rivulet $(SIZE_BUDGET)
DOC := $(wildcard LICENSE NOTICE README.md CHANGELOG.md)
install: $(B)/rivulet
	mkdir -p $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/doc/rivulet
	cp $(B)/rivulet $(DESTDIR)$(PREFIX)/bin/rivulet && chmod 755 $(DESTDIR)$(PREFIX)/bin/rivulet
	$(if $(DOC),cp $(DOC) $(DESTDIR)$(PREFIX)/share/doc/rivulet/)
	$(if $(LINKS),ln -sf rivulet $(DESTDIR)$(PREFIX)/bin/litestream && $(B)/rivulet --list | while read -r name rest; do \
	ln -sf rivulet $(DESTDIR)$(PREFIX)/bin/litestream-$$name; done)

# ---- tests ------------------------------------------------------------------------------------------------
check: $(UNIT:%=$(B)/test/%)
	$(Q)scripts/run-unit $^
# Older TSan runtimes do not start under a kernel that randomises addresses widely.
sanitize: $(UNIT:%=$(B)/asan/%) $(UNIT:%=$(B)/tsan/%)
	$(Q)UNIT_PREFIX="$$(setarch -R true 2>/dev/null && echo setarch -R)" \
	ASAN_OPTIONS=detect_leaks=1:detect_stack_use_after_return=1 UBSAN_OPTIONS=print_stacktrace=1 \
	TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1 scripts/run-unit $^
# The program itself for the end-to-end tests: RIVULET=build/tsan/rivulet tests/e2e/run
$(B)/tsan/rivulet: $(O_tsan)/applets/main.o $(L_tsan)
	$(call link,tsan)
# What has a way of its own on ARM, or depends on how bytes lie in memory, in an emulator.
ARM_CC   ?= aarch64-linux-gnu-gcc
ARM_RUN  ?= qemu-aarch64-static -cpu max
ARM      := $(filter test_base_% test_ltx_% test_wal_%,$(UNIT))
check-arm:
	$(call want,$(ARM_CC),install gcc-aarch64-linux-gnu and libc6-dev-arm64-cross (Debian))
	$(call want,$(ARM_RUN),install qemu-user-static (Debian))
	$(Q)$(MAKE) B=$(B)/arm DEPS_DIR=$(DEPS_DIR) CC='$(ARM_CC) -static' $(ARM:%=$(B)/arm/test/%)
	$(Q)UNIT_PREFIX='$(ARM_RUN)' scripts/run-unit $(ARM:%=$(B)/arm/test/%)
model: $(if $(MODEL),$(B)/test/model)
fuzz: $(FUZZ:%=$(B)/fuzz/%)
# Each runs over a copy of its corpus, tests/fuzz/corpus/NAME for fuzz_NAME.
fuzz-run: fuzz
	@n=0; for f in $(FUZZ:fuzz_%=%); do c=$(B)/fuzz/corpus/$$f; mkdir -p $$c; \
	[ ! -d tests/fuzz/corpus/$$f ] || cp tests/fuzz/corpus/$$f/* $$c/; echo "fuzz_$$f for $(SECONDS) s"; \
	$(B)/fuzz/fuzz_$$f -max_total_time=$(SECONDS) -rss_limit_mb=1024 -timeout=20 -artifact_prefix=$(B)/fuzz/ $$c \
	>$(B)/fuzz/$$f.log 2>&1 || { cat $(B)/fuzz/$$f.log; echo "$$n passed, 1 failed"; exit 1; }; \
	n=$$((n + 1)); done; echo "$$n passed, 0 failed"
# The programs that the benchmarks use; what they measure is the shipped one.
BENCH := $(patsubst %,$(B)/bench/%,measure writer many sink clients)
$(B)/bench/measure: tests/bench/measure.c | toolchain-ship
	@mkdir -p $(@D)
	$(Q)$(MUSL_CC) $(COMMON) $(WARN) -O2 -static -o $@ $<
$(B)/bench/sink: $(O_test)/tests/bench/sink.o $(O_test)/tests/support/served.o $(L_test)
	$(call link,test)
$(B)/bench/%: $(O_test)/tests/bench/%.o $(L_test)
	$(call link,test)
bench-programs: $(BENCH)
bench: $(B)/rivulet $(BENCH)
	tests/bench/run
# A second compiler reads everything, and the test code too.
LINT := $(OURS) $(SUPPORT) $(MODEL) $(UNIT:%=tests/unit/%.c) $(FUZZ:%=tests/fuzz/%.c) \
        $(wildcard tests/bench/*.c)
lint: $(LINT:%.c=$(B)/obj/lint/%.o)
$(B)/obj/lint/%.o: %.c Makefile | toolchain-fuzz
	@mkdir -p $(@D)
	$(Q)$(CLANG) -fsyntax-only $(COMMON) $(WARN) -Wconditional-uninitialized -Wmissing-variable-declarations \
	-Wunreachable-code -Wcomma $(DEP_INC) $(if $(filter tests/%,$<),-DOS_FAULTS=1 -Wno-missing-prototypes) \
	-DRIVULET_VERSION=\"\" -DRIVULET_COMMIT=\"\" -DRIVULET_BUILD_EPOCH=0 -DROOTS_GZ=\"\" -DPAGE_GZ=\"\" -MMD -MP -MT $@ -MF $(@:.o=.d) $< && touch $@

# ---- the rest ---------------------------------------------------------------------------------------------
deps:
	$(Q)DEPS_DIR='$(DEPS_DIR)' scripts/deps
deps-objects: $(foreach f,$(FLAVOURS),$(X_$(f))/libdeps.a)
clean:
	rm -rf $(filter-out $(B)/deps,$(wildcard $(B)/*)) $(B)/deps/obj-*
distclean:
	rm -rf $(B)
help:
	@echo 'make            build/rivulet, one static file'
	@echo 'make check      unit tests            make sanitize   the same with ASan+UBSan, then TSan'
	@echo 'make check-arm  some of them for ARM, in qemu'
	@echo 'make lint       everything through clang with warnings as errors'
	@echo 'make model      build/test/model      make fuzz-run SECONDS=20   each fuzz target for that long'
	@echo 'make size       what each part of the program costs; fails over SIZE_BUDGET=$(SIZE_BUDGET)'
	@echo 'make bench      figures of this machine'
	@echo 'make install DESTDIR= PREFIX=/usr/local LINKS=1   with LINKS, also under the litestream names'
	@echo 'make deps       fetch the sources (scripts/deps --help)   make clean, make distclean'
	@echo 'variables       CC MUSL_CC HOSTCC CLANG CFLAGS LDFLAGS V=1 DEPS_DIR VERSION ROOTS=FILE (0: no CA certificates inside)'
.SECONDARY: $(patsubst $(B)/bench/%,$(O_test)/tests/bench/%.o,$(BENCH)) \
            $(foreach f,$(FLAVOURS),$(UNIT:%=$(O_$(f))/tests/unit/%.o)) $(FUZZ:%=$(O_fuzz)/tests/fuzz/%.o)
.PHONY: FORCE all size install check check-arm sanitize model fuzz fuzz-run bench bench-programs lint deps deps-objects clean \
        distclean help $(FLAVOURS:%=toolchain-%)
