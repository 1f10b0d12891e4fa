/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* bzImage: how each malformed one is refused. */
#include "images.h"

#include <errno.h>
#include <inttypes.h>

/* Unknown to every format: the header is what is tested here. */
static const uint8_t payload[0x100] = "payload";

#define BYTES 0x800u

static const struct malformed malformed[] = {
    {"a cut setup header is refused",
     {{0}},
     0x28f,
     ENOEXEC,
     "bzImage: the setup header is cut short: the file has 655 bytes, a "
     "bzImage "
     "has over 656"},
    {"a wrong boot flag is refused",
     {{0x1fe, 2, 0x55aa}},
     0,
     ENOEXEC,
     "bzImage: boot_flag (offset 0x1fe) is 0x55aa, must be 0xaa55: not a "
     "bzImage"},
    {"a wrong header magic is refused",
     {{0x202, 4, 0x53726449}},
     0,
     ENOEXEC,
     "bzImage: header (offset 0x202) is 0x53726449, must be 0x53726448 "
     "(\"HdrS\"): not a bzImage"},
    {"an old boot protocol is refused",
     {{0x206, 2, 0x020b}},
     0,
     ENOEXEC,
     "bzImage: version (offset 0x206) is 0x020b; boot protocol 2.12 (0x020c, "
     "Linux 3.8) or later is needed"},
    {"a zImage is refused",
     {{0x211, 1, 0x80}},
     0,
     ENOEXEC,
     "bzImage: loadflags (offset 0x211) is 0x80 without LOADED_HIGH (0x01): a "
     "zImage, not a bzImage"},
    {"a short jump is refused",
     {{0x201, 1, 0x65}},
     0,
     ENOEXEC,
     "bzImage: the jump at offset 0x200 ends the setup header at 0x267, must "
     "be 0x268 to 0x290"},
    {"a long jump is refused",
     {{0x201, 1, 0x8f}},
     0,
     ENOEXEC,
     "bzImage: the jump at offset 0x200 ends the setup header at 0x291, must "
     "be 0x268 to 0x290"},
    {"setup sectors past the end are refused",
     {{0x1f1, 1, 3}},
     0,
     ENOEXEC,
     "bzImage: setup_sects (offset 0x1f1) is 3: the kernel would begin at "
     "offset 0x800, past the end of the file (0x800 bytes)"},
    {"most setup sectors past the end are refused",
     {{0x1f1, 1, 255}},
     0,
     ENOEXEC,
     "bzImage: setup_sects (offset 0x1f1) is 255: the kernel would begin at "
     "offset 0x20000, past the end of the file (0x800 bytes)"},
    {"a cut kernel is refused",
     {{0}},
     0x7ff,
     ENOEXEC,
     "bzImage: syssize (offset 0x1f4) says 0x400 bytes of kernel, must be more "
     "than 0x200 and at most the 0x3ff bytes after offset 0x400"},
    {"a kernel without its 64-bit entry is refused",
     {{0x1f4, 4, 0x20}},
     0,
     ENOEXEC,
     "bzImage: syssize (offset 0x1f4) says 0x200 bytes of kernel, must be more "
     "than 0x200 and at most the 0x400 bytes after offset 0x400"},
    {"a huge kernel is refused",
     {{0x1f4, 4, 0xffffffff}},
     0,
     ENOEXEC,
     "bzImage: syssize (offset 0x1f4) says 0xffffffff0 bytes of kernel, must "
     "be more than 0x200 and at most the 0x400 bytes after offset 0x400"},
    {"no alignment is refused",
     {{0x230, 4, 0}},
     0,
     ENOEXEC,
     "bzImage: kernel_alignment (offset 0x230) is 0x0, must be a power of two"},
    {"an odd alignment is refused",
     {{0x230, 4, 0x300000}},
     0,
     ENOEXEC,
     "bzImage: kernel_alignment (offset 0x230) is 0x300000, must be a power of "
     "two"},
    {"no init_size is refused",
     {{0x260, 4, 0}},
     0,
     ENOEXEC,
     "bzImage: init_size (offset 0x260) is 0"},
    {"a preferred address that wraps is refused",
     {{0x258, 8, 0xfffffffffff00001}},
     0,
     ENOEXEC,
     "bzImage: pref_address (offset 0x258) 0xfffffffffff00001 + init_size "
     "(offset 0x260) 0x100000 wraps around"},
    {"a payload past the kernel's end is refused",
     {{0x24c, 4, 0x101}},
     0,
     ENOEXEC,
     "bzImage: payload_offset (offset 0x248) 0x300 and payload_length (offset "
     "0x24c) 0x101 do not lie within the 0x400 bytes of kernel"},
    {"a payload that starts past the end is refused",
     {{0x248, 4, 0x401}},
     0,
     ENOEXEC,
     "bzImage: payload_offset (offset 0x248) 0x401 and payload_length (offset "
     "0x24c) 0x100 do not lie within the 0x400 bytes of kernel"},
    {"a payload that wraps 32 bits is refused",
     {{0x248, 4, 0xffffff00}},
     0,
     ENOEXEC,
     "bzImage: payload_offset (offset 0x248) 0xffffff00 and payload_length "
     "(offset 0x24c) 0x100 do not lie within the 0x400 bytes of kernel"},
    {"an empty payload is refused",
     {{0x24c, 4, 0}},
     0,
     ENOEXEC,
     "bzImage: payload_offset (offset 0x248) 0x300 and payload_length (offset "
     "0x24c) 0x0 do not lie within the 0x400 bytes of kernel"},
};

static void is_refused(void **state)
{
    const struct malformed *row = *state;
    struct vmm_bzimage_info info;
    struct vmm_image image;
    struct vmm_error err;
    uint8_t bytes[BYTES];

    put_bzimage(bytes, payload, sizeof(payload));
    apply_patches(bytes, row->patches);
    image =
        image_of(bytes, row->keep_bytes ? row->keep_bytes : BYTES, "bzImage");
    expect_failure(vmm_bzimage_inspect(&image, &info, &err), &err, row->code,
                   row->text);
    free_image(&image);
}

static void every_shorter_file_is_refused(void **state)
{
    uint8_t bytes[BYTES];
    (void)state;

    put_bzimage(bytes, payload, sizeof(payload));
    for (uint64_t size = 0; size < BYTES; size++) {
        struct vmm_image image = image_of(bytes, size, "bzImage");
        struct vmm_bzimage_info info;

        if (vmm_bzimage_inspect(&image, &info, NULL) != -ENOEXEC)
            fail_msg("the first %" PRIu64 " bytes were taken", size);
        free_image(&image);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_shorter_file_is_refused),
    };

    return run_with_table("bzimage_malformed", tests, LEN(tests), malformed,
                          LEN(malformed), is_refused);
}
