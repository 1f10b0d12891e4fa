/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Types from BTF: sizes, fields by their path, and BTF that is none. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <vmm/types.h>

#include "btf_bytes.h"

enum { SIGNED = 1, CHAR = 2 };

/*
 * struct inner { char text[16]; int number; };
 * typedef struct inner inner_t;
 * struct outer {
 *     unsigned first;             // 0
 *     union { inner_t in; int other; };  // 4
 *     const inner_t many[3];      // 24
 *     struct outer *next;         // 88
 *     int low : 3, high : 5;      // bits 768 and 771
 * };
 */
static size_t lay_out(uint8_t *bytes)
{
    struct btf_bytes btf;

    btf_init(&btf);
    uint32_t number = btf_integer(&btf, "int", 4, SIGNED);
    uint32_t word = btf_integer(&btf, "unsigned int", 4, 0);
    uint32_t character = btf_integer(&btf, "char", 1, SIGNED);
    uint32_t text = btf_vector(&btf, character, word, 16);
    uint32_t inner = btf_add(&btf, "inner", BTF_KIND_STRUCT, 2, 0, 20);
    btf_member_of(&btf, "text", text, 0);
    btf_member_of(&btf, "number", number, 128);
    uint32_t named = btf_add(&btf, "inner_t", BTF_KIND_TYPEDEF, 0, 0, inner);
    uint32_t choice = btf_add(&btf, "", BTF_KIND_UNION, 2, 0, 20);
    btf_member_of(&btf, "in", named, 0);
    btf_member_of(&btf, "other", number, 0);
    uint32_t constant = btf_add(&btf, "", BTF_KIND_CONST, 0, 0, named);
    uint32_t many = btf_vector(&btf, constant, word, 3);
    uint32_t outer = btf.last_id + 1;
    btf_add(&btf, "outer", BTF_KIND_STRUCT, 6, 1, 104);
    btf_member_of(&btf, "first", word, 0);
    btf_member_of(&btf, "", choice, 32);
    btf_member_of(&btf, "many", many, 24 * 8);
    btf_member_of(&btf, "next", outer + 1, 88 * 8);
    btf_member_of(&btf, "low", number, 768 | 3 << 24);
    btf_member_of(&btf, "high", number, 771 | 5 << 24);
    btf_add(&btf, "", BTF_KIND_PTR, 0, 0, outer);
    return btf_finish(&btf, bytes);
}

static int set_up(void **state)
{
    uint8_t bytes[4096];
    struct vmm_types *types;
    struct vmm_error err;

    if (vmm_types_new(bytes, lay_out(bytes), &types, &err))
        fail_msg("%s", err.text);
    *state = types;
    return 0;
}

static int tear_down(void **state)
{
    vmm_types_free(*state);
    return 0;
}

static struct vmm_type find(const struct vmm_types *types, const char *name)
{
    struct vmm_type type;

    assert_int_equal(vmm_types_find(types, name, &type), 0);
    return type;
}

static struct vmm_type_field field(const struct vmm_types *types,
                                   const char *name, const char *path)
{
    struct vmm_type type = find(types, name);
    struct vmm_type_field found;
    struct vmm_error err;

    if (vmm_types_field(types, &type, path, &found, &err))
        fail_msg("%s", err.text);
    return found;
}

static void a_type_has_a_size_and_a_kind(void **state)
{
    assert_int_equal(find(*state, "outer").size, 104);
    assert_int_equal(find(*state, "outer").kind, VMM_TYPE_STRUCT);
    assert_int_equal(find(*state, "int").is_signed, true);
    assert_int_equal(find(*state, "unsigned int").is_signed, false);
    assert_int_equal(find(*state, "char").is_char, true);
}

static void a_typedef_is_what_it_stands_for(void **state)
{
    assert_int_equal(find(*state, "inner_t").id, find(*state, "inner").id);
}

static void a_field_is_found_by_its_path(void **state)
{
    assert_int_equal(field(*state, "inner", "number").bit_offset, 128);
    assert_int_equal(field(*state, "outer", "first").bit_offset, 0);
    assert_int_equal(field(*state, "outer", "next").type.size, 8);
    assert_int_equal(field(*state, "outer", "next").type.kind,
                     VMM_TYPE_POINTER);
}

static void members_of_anonymous_members_are_the_structure_s_own(void **state)
{
    assert_int_equal(field(*state, "outer", "other").bit_offset, 32);
    assert_int_equal(field(*state, "outer", "in.number").bit_offset, 160);
}

static void elements_are_part_of_a_path(void **state)
{
    struct vmm_type_field number = field(*state, "outer", "many[2].number");

    assert_int_equal(number.bit_offset, (24 + 2 * 20 + 16) * 8);
    assert_int_equal(field(*state, "outer", "many").type.count, 3);
    assert_int_equal(field(*state, "outer", "many").type.size, 60);
}

static void a_bit_field_has_bits(void **state)
{
    assert_int_equal(field(*state, "outer", "low").bits, 3);
    assert_int_equal(field(*state, "outer", "high").bits, 5);
    assert_int_equal(field(*state, "outer", "high").bit_offset, 771);
    assert_int_equal(field(*state, "outer", "first").bits, 0);
}

static void assert_no_field(const struct vmm_types *types, const char *path,
                            const char *why)
{
    struct vmm_type type = find(types, "outer");
    struct vmm_type_field found;
    struct vmm_error err;

    assert_int_equal(vmm_types_field(types, &type, path, &found, &err),
                     -ENOENT);
    if (!strstr(err.text, why))
        fail_msg("\"%s\" does not say \"%s\"", err.text, why);
}

static void a_path_that_leads_nowhere_says_where_it_ends(void **state)
{
    assert_no_field(*state, "nothing", "struct outer has no field \"nothing\"");
    assert_no_field(*state, "in.nothing",
                    "struct inner has no field \"nothing\"");
    assert_no_field(*state, "first.x", "int unsigned int has no field \"x\"");
    assert_no_field(*state, "many[3]", "has no field \"[3]\"");
    assert_no_field(*state, "many[1", "has no field \"[1\"");
    assert_no_field(*state, "many[0]x", "is no path of fields");
    assert_no_field(*state, "", "has no field \"\"");
    assert_no_field(*state, "first.", "is no path");
}

static void a_type_that_is_not_there_is_not_found(void **state)
{
    struct vmm_type type;

    assert_int_equal(vmm_types_find(*state, "nobody", &type), -ENOENT);
    assert_int_equal(vmm_types_get(*state, 12345, &type), -ENOENT);
}

static void members_are_listed_in_their_order(void **state)
{
    static const char *const names[] = {"first", "",    "many",
                                        "next",  "low", "high"};
    struct vmm_type outer = find(*state, "outer");
    struct vmm_type_field member;
    const char *name;

    for (uint32_t i = 0; i < 6; i++) {
        assert_int_equal(vmm_types_member(*state, &outer, i, &name, &member),
                         0);
        assert_string_equal(name, names[i]);
    }
    assert_int_equal(vmm_types_member(*state, &outer, 6, &name, &member),
                     -ENOENT);
}

/* ---- hostile ------------------------------------------------------------- */

static int parse(const uint8_t *bytes, size_t size)
{
    struct vmm_types *types;
    struct vmm_error err;
    int ret = vmm_types_new(bytes, size, &types, &err);

    assert_int_equal(-ret, err.code);
    vmm_types_free(types);
    return ret;
}

static void sections_outside_the_bytes_are_refused(void **state)
{
    uint8_t bytes[4096], broken[4096];
    size_t size = lay_out(bytes);

    (void)state;
    for (size_t word = 4; word < sizeof(struct btf_header); word += 4) {
        memcpy(broken, bytes, size);
        memset(broken + word, 0xff, 4);
        assert_int_equal(parse(broken, size), -ENOEXEC);
    }
    assert_int_equal(parse(bytes, size - 1), -ENOEXEC);
    assert_int_equal(parse(bytes, 3), -ENOEXEC);
    memset(broken, 0, sizeof(broken));
    assert_int_equal(parse(broken, size), -ENOEXEC);
}

static void names_that_a_terminal_might_obey_are_refused(void **state)
{
    uint8_t bytes[4096];
    size_t size = lay_out(bytes);

    (void)state;
    assert_int_equal(parse(bytes, size), 0);
    bytes[size - 2] = 0x1b; /* of the last name */
    assert_int_equal(parse(bytes, size), -ENOEXEC);
    bytes[size - 2] = 0x9b;
    assert_int_equal(parse(bytes, size), -ENOEXEC);
    bytes[size - 2] = ' ';
    assert_int_equal(parse(bytes, size), 0);
}

static void types_that_contain_themselves_end(void **state)
{
    struct btf_bytes btf;
    uint8_t bytes[4096];
    struct vmm_types *types;
    struct vmm_type type;
    struct vmm_type_field found;

    (void)state;
    btf_init(&btf);
    btf_add(&btf, "loop", BTF_KIND_TYPEDEF, 0, 0, 2);
    btf_add(&btf, "pool", BTF_KIND_TYPEDEF, 0, 0, 1);
    btf_add(&btf, "self", BTF_KIND_STRUCT, 8, 0, 64);
    for (int i = 0; i < 8; i++)
        btf_member_of(&btf, "", 3, 0);
    btf_vector(&btf, 4, 4, 1000);
    size_t size = btf_finish(&btf, bytes);
    assert_int_equal(vmm_types_new(bytes, size, &types, NULL), 0);
    assert_int_equal(vmm_types_find(types, "loop", &type), -ELOOP);
    assert_int_equal(vmm_types_find(types, "self", &type), 0);
    assert_int_equal(vmm_types_field(types, &type, "x", &found, NULL), -ENOENT);
    assert_int_equal(vmm_types_get(types, 4, &type), 0);
    assert_int_equal(type.size, 0);
    vmm_types_free(types);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_type_has_a_size_and_a_kind),
        TEST(a_typedef_is_what_it_stands_for),
        TEST(a_field_is_found_by_its_path),
        TEST(members_of_anonymous_members_are_the_structure_s_own),
        TEST(elements_are_part_of_a_path),
        TEST(a_bit_field_has_bits),
        TEST(a_path_that_leads_nowhere_says_where_it_ends),
        TEST(a_type_that_is_not_there_is_not_found),
        TEST(members_are_listed_in_their_order),
        cmocka_unit_test(sections_outside_the_bytes_are_refused),
        cmocka_unit_test(names_that_a_terminal_might_obey_are_refused),
        cmocka_unit_test(types_that_contain_themselves_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
