/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/*
 * Fuzzes guest memory: the input is a layout and a list of accesses, each
 * checked against a page map of what is RAM and a plain array of its bytes.
 *
 * Input: one byte per two pages of a 32-page space (below); then records of 6
 * bytes: door, gpa (3 bytes), len (2 bytes), until the input ends.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <vmm/memory.h>

#include "../../src/base/endian.h"
#include "require.h"

#define PAGES  32
#define PAGE   4096
#define LAYOUT (PAGES / 2)
#define RECORD 6

struct model {
    bool ram[PAGES];
    uint8_t bytes[PAGES * PAGE];
};

/* Bits 0 and 1 of a byte: its pages are RAM; bit 2: a region ends before the
 * first, bit 3: before the second, so that regions adjoin. */
static size_t build_layout(const uint8_t *data, struct model *model,
                           struct vmm_memory_range *ranges)
{
    size_t count = 0;

    for (size_t page = 0; page < PAGES; page++) {
        unsigned bits = data[page / 2] >> (page % 2);

        model->ram[page] = bits & 1;
        if (!model->ram[page])
            continue;
        if (page && model->ram[page - 1] && !(bits & 4))
            ranges[count - 1].size_bytes += PAGE;
        else
            ranges[count++] =
                (struct vmm_memory_range){(vmm_gpa_t)page * PAGE, PAGE};
    }
    return count;
}

static bool all_ram(const struct model *model, uint64_t gpa, uint64_t len)
{
    if (gpa >= PAGES * PAGE || len > PAGES * PAGE - gpa)
        return false;
    for (uint64_t page = gpa / PAGE; page * PAGE < gpa + len; page++)
        if (!model->ram[page])
            return false;
    return true;
}

/* Length 0 has a rule of its own. */
static bool touches_ram(const struct model *model, uint64_t gpa)
{
    return (gpa < PAGES * PAGE && model->ram[gpa / PAGE]) ||
           (gpa && gpa <= PAGES * PAGE && gpa % PAGE == 0 &&
            model->ram[gpa / PAGE - 1]);
}

static void do_read(struct vmm_memory *memory, const struct model *model,
                    uint64_t gpa, size_t len, bool ok)
{
    uint8_t *buffer = malloc(len ? len : 1);

    REQUIRE(buffer);
    REQUIRE((vmm_memory_read(memory, gpa, buffer, len) == 0) == ok);
    if (ok && len)
        REQUIRE(memcmp(buffer, model->bytes + gpa, len) == 0);
    free(buffer);
}

static void do_write(struct vmm_memory *memory, struct model *model,
                     uint64_t gpa, size_t len, bool ok)
{
    uint8_t *buffer = malloc(len ? len : 1);

    REQUIRE(buffer);
    for (size_t i = 0; i < len; i++)
        buffer[i] = (uint8_t)(gpa + i * 7);
    REQUIRE((vmm_memory_write(memory, gpa, buffer, len) == 0) == ok);
    if (ok && len)
        memcpy(model->bytes + gpa, buffer, len);
    free(buffer);
}

static void do_fill(struct vmm_memory *memory, struct model *model,
                    uint64_t gpa, size_t len, bool ok)
{
    REQUIRE((vmm_memory_fill(memory, gpa, (uint8_t)len, len) == 0) == ok);
    if (ok && len)
        memset(model->bytes + gpa, (uint8_t)len, len);
}

static void do_iovec(struct vmm_memory *memory, const struct model *model,
                     uint64_t gpa, size_t len, bool ok)
{
    struct iovec pieces[VMM_MEMORY_RANGES_MAX];
    int count =
        vmm_memory_iovec(memory, gpa, len, pieces, VMM_MEMORY_RANGES_MAX);
    size_t done = 0;

    REQUIRE((count >= 0) == ok);
    for (int i = 0; i < count; i++) {
        REQUIRE(memcmp(pieces[i].iov_base, model->bytes + gpa + done,
                       pieces[i].iov_len) == 0);
        done += pieces[i].iov_len;
    }
    REQUIRE(!ok || done == len);
}

static void do_u16(struct vmm_memory *memory, struct model *model, uint64_t gpa,
                   uint16_t value)
{
    bool ok = all_ram(model, gpa, 2);
    bool aligned = gpa % 2 == 0;
    uint16_t got;

    REQUIRE((vmm_memory_store_u16(memory, gpa, value) == 0) == ok);
    if (ok)
        store_le16(model->bytes + gpa, value);
    REQUIRE((vmm_memory_load_u16(memory, gpa, &got) == 0) == ok);
    REQUIRE(!ok || got == value);
    REQUIRE((vmm_memory_load_acquire_u16(memory, gpa, &got) == 0) ==
            (ok && aligned));
}

static void do_u64(struct vmm_memory *memory, struct model *model, uint64_t gpa,
                   uint64_t value)
{
    bool ok = all_ram(model, gpa, 8);
    uint64_t got;

    value *= 0x0001000100010001;
    REQUIRE((vmm_memory_store_u64(memory, gpa, value) == 0) == ok);
    if (ok)
        store_le64(model->bytes + gpa, value);
    REQUIRE((vmm_memory_load_u64(memory, gpa, &got) == 0) == ok);
    REQUIRE(!ok || got == value);
}

static void do_record(struct vmm_memory *memory, struct model *model,
                      const uint8_t *record)
{
    uint64_t gpa = load_le32(record) >> 8;
    uint16_t len = load_le16(record + 4);
    bool ok = len ? all_ram(model, gpa, len) : touches_ram(model, gpa);

    /* The top bit of the door moves the access to the end of 2^64. */
    if (record[0] & 0x80) {
        gpa = UINT64_MAX - gpa;
        ok = false;
    }
    REQUIRE((vmm_memory_check(memory, gpa, len) == 0) == ok);
    switch (record[0] % 6) {
    case 0:
        do_read(memory, model, gpa, len, ok);
        break;
    case 1:
        do_write(memory, model, gpa, len, ok);
        break;
    case 2:
        do_fill(memory, model, gpa, len, ok);
        break;
    case 3:
        do_iovec(memory, model, gpa, len, ok);
        break;
    case 4:
        do_u16(memory, model, gpa, len);
        break;
    default:
        do_u64(memory, model, gpa, len);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vmm_memory_range ranges[VMM_MEMORY_RANGES_MAX];
    struct vmm_memory_config config = {.ranges = ranges};
    struct vmm_memory *memory;
    struct model *model;

    if (size < LAYOUT)
        return -1;
    model = calloc(1, sizeof(*model));
    REQUIRE(model);
    config.range_count = build_layout(data, model, ranges);
    if (config.range_count) {
        REQUIRE(vmm_memory_new(&config, &memory, NULL) == 0);
        for (size_t at = LAYOUT; at + RECORD <= size; at += RECORD)
            do_record(memory, model, data + at);
        vmm_memory_unref(memory);
    }
    free(model);
    return 0;
}
