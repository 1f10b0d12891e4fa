/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The table of symbols: look-ups, System.map, the ELF file of this test. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <vmm/symbols.h>

/* What the ELF test looks for. */
int test_symbols_landmark(int value);
__attribute__((noinline)) int test_symbols_landmark(int value)
{
    return value + 1;
}

/* The linker's: where this program has been loaded. */
extern const char __ehdr_start[];

static struct vmm_symbols *from_map(const char *text, uint64_t slide)
{
    struct vmm_symbols *symbols;
    struct vmm_image image;
    struct vmm_error err;

    vmm_image_borrow(text, strlen(text), "System.map", &image);
    assert_int_equal(vmm_symbols_new(&symbols, &err), 0);
    if (vmm_symbols_add_map(symbols, &image, slide, &err))
        fail_msg("%s", err.text);
    assert_int_equal(vmm_symbols_finish(symbols, &err), 0);
    return symbols;
}

static const char map[] = "0000000000000000 A fixed_percpu_data\n"
                          "0000000000020000 A current_task\n"
                          "ffffffff81000000 T _stext\n"
                          "ffffffff81000000 T _text\n"
                          "ffffffff81000100 t twice\n"
                          "ffffffff81000200 T once\n"
                          "ffffffff81000300 t twice\n"
                          "ffffffff81000400 D _end\n";

static void assert_at(const struct vmm_symbols *symbols, uint64_t address,
                      const char *name, uint64_t offset)
{
    struct vmm_symbol symbol;

    assert_int_equal(vmm_symbols_at(symbols, address, &symbol), 0);
    assert_string_equal(symbol.name, name);
    assert_int_equal(address - symbol.address, offset);
}

static void a_name_gives_its_address_and_how_many_have_it(void **state)
{
    struct vmm_symbols *symbols = from_map(map, 0);
    struct vmm_symbol symbol;

    (void)state;
    assert_int_equal(vmm_symbols_count(symbols), 8);
    assert_int_equal(vmm_symbols_find(symbols, "once", &symbol), 1);
    assert_int_equal(symbol.address, UINT64_C(0xffffffff81000200));
    assert_int_equal(symbol.size, 0x100);
    assert_int_equal(symbol.type, 'T');
    assert_int_equal(vmm_symbols_find(symbols, "twice", &symbol), 2);
    assert_int_equal(symbol.address, UINT64_C(0xffffffff81000100));
    assert_int_equal(vmm_symbols_find(symbols, "thrice", &symbol), 0);
    vmm_symbols_free(symbols);
}

static void an_address_gives_the_first_name_there(void **state)
{
    struct vmm_symbols *symbols = from_map(map, 0);

    (void)state;
    assert_at(symbols, UINT64_C(0xffffffff81000000), "_stext", 0);
    assert_at(symbols, UINT64_C(0xffffffff810000ff), "_stext", 0xff);
    assert_at(symbols, UINT64_C(0xffffffff81000300), "twice", 0);
    vmm_symbols_free(symbols);
}

static void an_address_beyond_all_symbols_has_no_name(void **state)
{
    struct vmm_symbols *symbols = from_map(map, 0);
    struct vmm_symbol symbol;

    (void)state;
    assert_at(symbols, UINT64_C(0xffffffff81000401), "_end", 1);
    assert_int_equal(
        vmm_symbols_at(symbols, UINT64_C(0xffffffff81001400), &symbol),
        -ENOENT);
    assert_int_equal(vmm_symbols_at(symbols, UINT64_MAX, &symbol), -ENOENT);
    vmm_symbols_free(symbols);
}

static void an_absolute_symbol_hides_no_place(void **state)
{
    struct vmm_symbols *symbols = from_map(
        "1000 A base\n1000 T start\n1010 A constant\n1020 T next\n", 0);

    (void)state;
    assert_at(symbols, 0x1000, "start", 0);
    assert_at(symbols, 0x1011, "start", 0x11);
    assert_at(symbols, 0x1020, "next", 0);
    vmm_symbols_free(symbols);
}

static void an_absolute_symbol_is_no_place(void **state)
{
    struct vmm_symbols *symbols = from_map(map, 0);
    struct vmm_symbol symbol;

    (void)state;
    assert_int_equal(vmm_symbols_at(symbols, 0x20000, &symbol), -ENOENT);
    assert_int_equal(vmm_symbols_at(symbols, 0x10, &symbol), -ENOENT);
    assert_int_equal(vmm_symbols_find(symbols, "current_task", &symbol), 1);
    assert_int_equal(symbol.address, 0x20000);
    vmm_symbols_free(symbols);
}

static void a_slide_moves_all_but_absolute_symbols(void **state)
{
    struct vmm_symbols *symbols = from_map(map, 0x10c00000);
    struct vmm_symbol symbol;

    (void)state;
    assert_int_equal(vmm_symbols_find(symbols, "once", &symbol), 1);
    assert_int_equal(symbol.address, UINT64_C(0xffffffff91c00200));
    assert_int_equal(vmm_symbols_find(symbols, "current_task", &symbol), 1);
    assert_int_equal(symbol.address, 0x20000);
    vmm_symbols_free(symbols);
}

static void symbols_come_in_the_order_of_their_addresses(void **state)
{
    struct vmm_symbols *symbols = from_map("30 T c\n10 T a\n20 T b\n", 0);

    (void)state;
    assert_string_equal(vmm_symbols_get(symbols, 0).name, "a");
    assert_string_equal(vmm_symbols_get(symbols, 1).name, "b");
    assert_string_equal(vmm_symbols_get(symbols, 2).name, "c");
    vmm_symbols_free(symbols);
}

static void a_map_may_name_modules_and_end_without_a_newline(void **state)
{
    struct vmm_symbols *symbols =
        from_map("ffffffffc0000000 t init\t[virtio]\r\n\n10 T last", 0);
    struct vmm_symbol symbol;

    (void)state;
    assert_int_equal(vmm_symbols_find(symbols, "init", &symbol), 1);
    assert_int_equal(vmm_symbols_find(symbols, "last", &symbol), 1);
    vmm_symbols_free(symbols);
}

static void assert_map_refused(const char *text, size_t size, const char *why)
{
    struct vmm_symbols *symbols;
    struct vmm_image image;
    struct vmm_error err;

    vmm_image_borrow(text, size, "System.map", &image);
    assert_int_equal(vmm_symbols_new(&symbols, &err), 0);
    assert_int_equal(vmm_symbols_add_map(symbols, &image, 0, &err), -ENOEXEC);
    if (!strstr(err.text, why))
        fail_msg("\"%s\" does not say \"%s\"", err.text, why);
    vmm_symbols_free(symbols);
}

static void what_is_no_map_is_refused_by_its_line(void **state)
{
    static const char zeros[] = "10 T a\0b\n";

    (void)state;
    assert_map_refused("10 T a\nhello\n", 13, "line 2 is not");
    assert_map_refused("10 T a\nxyz T b\n", 15, "line 2 is not");
    assert_map_refused("10 Tt a\n", 8, "line 1 is not");
    assert_map_refused("10 T\n", 5, "line 1 is not");
    assert_map_refused("12345678901234567 T a\n", 22, "line 1 is not");
    assert_map_refused("10 T a b\n", 9, "line 1 is not");
    assert_map_refused(zeros, sizeof(zeros) - 1, "line 1 is not");
}

static void debian_s_stub_is_called_one(void **state)
{
    static const char stub[] = "ffffffffffffffff B The real System.map is in "
                               "the linux-image-<version>-dbg package\n";

    (void)state;
    assert_map_refused(stub, sizeof(stub) - 1, "Debian's System.map is a stub");
}

static void a_name_beyond_the_limit_is_refused(void **state)
{
    struct vmm_symbols *symbols;
    struct vmm_error err;
    char name[VMM_SYMBOLS_NAME_BYTES_MAX] = "";

    (void)state;
    assert_int_equal(vmm_symbols_new(&symbols, &err), 0);
    assert_int_equal(
        vmm_symbols_add(symbols, 0, 0, 'T', name, sizeof(name), &err), -E2BIG);
    assert_int_equal(vmm_symbols_count(symbols), 0);
    vmm_symbols_free(symbols);
}

static void an_elf_file_s_symbols_are_moved_by_the_slide(void **state)
{
    uint64_t here = (uintptr_t)test_symbols_landmark;
    struct vmm_symbols *symbols;
    struct vmm_symbol symbol;
    struct vmm_image image;
    struct vmm_error err;
    /* A position-independent program is linked at 0. */
    uint64_t base = (uintptr_t)__ehdr_start;

    (void)state;
    assert_int_equal(vmm_image_open("/proc/self/exe", &image, &err), 0);
    assert_int_equal(vmm_symbols_new(&symbols, &err), 0);
    if (vmm_symbols_add_elf(symbols, &image, base, &err))
        fail_msg("%s", err.text);
    vmm_image_close(&image);
    assert_int_equal(vmm_symbols_finish(symbols, &err), 0);
    assert_int_equal(
        vmm_symbols_find(symbols, "test_symbols_landmark", &symbol), 1);
    assert_int_equal(symbol.address, here);
    assert_int_equal(symbol.type, 'T');
    assert_true(symbol.size > 0 && symbol.size < 4096);
    assert_at(symbols, here + symbol.size - 1, "test_symbols_landmark",
              symbol.size - 1);
    vmm_symbols_free(symbols);
}

static void bytes_that_are_no_elf_have_no_symbols(void **state)
{
    struct vmm_symbols *symbols;
    struct vmm_image image;
    struct vmm_error err;

    (void)state;
    vmm_image_borrow("\177ELF and no more than that, really not one", 40, "x",
                     &image);
    assert_int_equal(vmm_symbols_new(&symbols, &err), 0);
    assert_true(vmm_symbols_add_elf(symbols, &image, 0, &err) < 0);
    assert_int_equal(vmm_symbols_count(symbols), 0);
    vmm_symbols_free(symbols);
}

static void a_name_has_nothing_that_a_terminal_obeys(void **state)
{
    static const char name[] = "a\033[2J\177 \302\233z~";
    struct vmm_symbols *symbols;
    struct vmm_symbol symbol;
    struct vmm_error err;

    (void)state;
    assert_int_equal(vmm_symbols_new(&symbols, &err), 0);
    assert_int_equal(
        vmm_symbols_add(symbols, 1, 1, 't', name, strlen(name), &err), 0);
    assert_int_equal(vmm_symbols_finish(symbols, &err), 0);
    assert_int_equal(vmm_symbols_at(symbols, 1, &symbol), 0);
    assert_string_equal(symbol.name, "a?[2J????z~");
    vmm_symbols_free(symbols);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_gives_its_address_and_how_many_have_it),
        cmocka_unit_test(an_address_gives_the_first_name_there),
        cmocka_unit_test(an_address_beyond_all_symbols_has_no_name),
        cmocka_unit_test(an_absolute_symbol_hides_no_place),
        cmocka_unit_test(an_absolute_symbol_is_no_place),
        cmocka_unit_test(a_slide_moves_all_but_absolute_symbols),
        cmocka_unit_test(symbols_come_in_the_order_of_their_addresses),
        cmocka_unit_test(a_map_may_name_modules_and_end_without_a_newline),
        cmocka_unit_test(what_is_no_map_is_refused_by_its_line),
        cmocka_unit_test(debian_s_stub_is_called_one),
        cmocka_unit_test(a_name_beyond_the_limit_is_refused),
        cmocka_unit_test(a_name_has_nothing_that_a_terminal_obeys),
        cmocka_unit_test(an_elf_file_s_symbols_are_moved_by_the_slide),
        cmocka_unit_test(bytes_that_are_no_elf_have_no_symbols),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
