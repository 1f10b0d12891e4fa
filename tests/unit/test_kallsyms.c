/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Decoding of kallsyms, whole and corrupt. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kallsyms_tables.h"

static struct vmm_symbols *decode(const struct tables *tables)
{
    struct vmm_symbols *symbols;
    struct vmm_error err;

    assert_int_equal(vmm_symbols_new(&symbols, &err), 0);
    if (vmm_symbols_add_kallsyms(symbols, &tables->kallsyms, &err))
        fail_msg("%s", err.text);
    assert_int_equal(vmm_symbols_finish(symbols, &err), 0);
    return symbols;
}

static void assert_refused(const struct tables *tables, const char *why)
{
    struct vmm_symbols *symbols;
    struct vmm_error err;

    assert_int_equal(vmm_symbols_new(&symbols, &err), 0);
    assert_int_equal(vmm_symbols_add_kallsyms(symbols, &tables->kallsyms, &err),
                     -ENOEXEC);
    if (!strstr(err.text, why))
        fail_msg("\"%s\" does not say \"%s\"", err.text, why);
    vmm_symbols_free(symbols);
}

static void assert_symbol(const struct vmm_symbols *symbols, const char *name,
                          uint64_t address, char type)
{
    struct vmm_symbol symbol;

    assert_int_equal(vmm_symbols_find(symbols, name, &symbol), 1);
    assert_string_equal(symbol.name, name);
    assert_int_equal(symbol.address, address);
    assert_int_equal(symbol.type, type);
}

static void tokens_are_put_together(void **state)
{
    struct tables tables;

    (void)state;
    tables_init(&tables);
    tables_add(&tables, "T_text", 0);
    tables_add(&tables, "\2\1open", 0x100);
    struct vmm_symbols *symbols = decode(&tables);
    assert_int_equal(vmm_symbols_count(symbols), 2);
    assert_symbol(symbols, "_text", TABLES_BASE, 'T');
    assert_symbol(symbols, "do_sys_open", TABLES_BASE + 0x100, 'T');
    vmm_symbols_free(symbols);
}

static void negative_offsets_leave_per_cpu_symbols_absolute(void **state)
{
    struct tables tables;

    (void)state;
    tables_init(&tables);
    tables_add(&tables, "Acurrent_task", 0x1fac0);
    tables_add(&tables, "T_text", -1);
    tables_add(&tables, "tlater", -0x101);
    struct vmm_symbols *symbols = decode(&tables);
    assert_symbol(symbols, "current_task", 0x1fac0, 'A');
    assert_symbol(symbols, "_text", TABLES_BASE, 'T');
    assert_symbol(symbols, "later", TABLES_BASE + 0x100, 't');
    vmm_symbols_free(symbols);
}

static void offsets_reach_4_gib_where_none_is_negative(void **state)
{
    struct tables tables;

    (void)state;
    tables_init(&tables);
    tables_add(&tables, "T_text", 0);
    tables_add(&tables, "Tmiddle", 0x7fffffff);
    tables_add(&tables, "Tfar", (int32_t)0x80000010);
    struct vmm_symbols *symbols = decode(&tables);
    assert_symbol(symbols, "far", TABLES_BASE + 0x80000010, 'T');
    vmm_symbols_free(symbols);
}

static void a_name_may_have_more_than_127_tokens(void **state)
{
    struct tables tables;
    char name[302] = "T";

    (void)state;
    memset(name + 1, 'x', 300);
    tables_init(&tables);
    tables_add(&tables, name, 0);
    tables_add(&tables, "Tnext", 16);
    struct vmm_symbols *symbols = decode(&tables);
    assert_symbol(symbols, name + 1, TABLES_BASE, 'T');
    assert_symbol(symbols, "next", TABLES_BASE + 16, 'T');
    vmm_symbols_free(symbols);
}

static void a_name_outside_its_table_is_refused(void **state)
{
    struct tables tables;

    (void)state;
    tables_init(&tables);
    tables_add(&tables, "T_text", 0);
    tables.kallsyms.names_bytes--;
    assert_refused(&tables, "the name of symbol 0 of 1 is outside");
    tables.kallsyms.names_bytes = 0;
    assert_refused(&tables, "the name of symbol 0 of 1 is outside");
    tables.kallsyms.names_bytes = tables.names_used;
    tables.kallsyms.count = 2;
    assert_refused(&tables, "the name of symbol 1 of 2 is outside");
}

static void a_length_that_is_cut_off_is_refused(void **state)
{
    struct tables tables;

    (void)state;
    tables_init(&tables);
    tables_add(&tables, "T_text", 0);
    tables.names[0] = 0x81;
    tables.kallsyms.names_bytes = 1;
    assert_refused(&tables, "the name of symbol 0 of 1 is outside");
}

static void a_name_of_nothing_is_refused(void **state)
{
    struct tables tables;

    (void)state;
    tables_init(&tables);
    tables_add(&tables, "", 0);
    assert_refused(&tables, "symbol 0 of 1 has no name");
    tables_init(&tables);
    tables_add(&tables, "T", 0); /* a letter alone */
    assert_refused(&tables, "symbol 0 of 1 has no name");
}

static void a_name_that_expands_beyond_the_limit_is_refused(void **state)
{
    struct tables tables;
    char name[200];

    (void)state;
    memset(name, 1, sizeof(name)); /* "sys_" each */
    name[199] = '\0';
    tables_init(&tables);
    tables_add(&tables, name, 0);
    assert_refused(&tables, "or one beyond 512 bytes");
}

static void a_token_outside_its_table_is_refused(void **state)
{
    struct tables tables;

    (void)state;
    tables_init(&tables);
    tables_add(&tables, "T_text", 0);
    tables.token_index[511] = 0xff;
    assert_refused(&tables, "token 255");
    tables_init(&tables);
    tables.kallsyms.token_table_bytes--;
    assert_refused(&tables, "token 255 has no end");
    tables.kallsyms.token_table_bytes = 0;
    assert_refused(&tables, "token 0 at 0 is outside");
}

static void no_symbols_are_an_empty_table(void **state)
{
    struct tables tables;
    struct vmm_symbol symbol;

    (void)state;
    tables_init(&tables);
    struct vmm_symbols *symbols = decode(&tables);
    assert_int_equal(vmm_symbols_count(symbols), 0);
    assert_int_equal(vmm_symbols_find(symbols, "x", &symbol), 0);
    assert_int_equal(vmm_symbols_at(symbols, TABLES_BASE, &symbol), -ENOENT);
    vmm_symbols_free(symbols);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens_are_put_together),
        cmocka_unit_test(negative_offsets_leave_per_cpu_symbols_absolute),
        cmocka_unit_test(offsets_reach_4_gib_where_none_is_negative),
        cmocka_unit_test(a_name_may_have_more_than_127_tokens),
        cmocka_unit_test(a_name_outside_its_table_is_refused),
        cmocka_unit_test(a_length_that_is_cut_off_is_refused),
        cmocka_unit_test(a_name_of_nothing_is_refused),
        cmocka_unit_test(a_name_that_expands_beyond_the_limit_is_refused),
        cmocka_unit_test(a_token_outside_its_table_is_refused),
        cmocka_unit_test(no_symbols_are_an_empty_table),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
