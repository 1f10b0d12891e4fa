/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* A line is edited key by key, and nobody waits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/line_editor.h"

/* What libtinfo keeps for a terminal that is used again. */
__attribute__((visibility("default"))) const char *
__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:_nc_trim_sgr0\n";
}

static int set_up(void **state)
{
    struct vmm_line_editor *editor;
    struct vmm_error err;

    setenv("TERM", "xterm", 1);
    setenv("HOME", "/nonexistent", 1);
    if (vmm_line_editor_new(3, &editor, &err) < 0) {
        print_error("%s\n", err.text);
        return -1;
    }
    vmm_line_editor_resize(editor, 24, 80);
    *state = editor;
    return 0;
}

static int tear_down(void **state)
{
    vmm_line_editor_free(*state);
    return 0;
}

static enum vmm_line_event type(struct vmm_line_editor *editor,
                                const char *keys)
{
    enum vmm_line_event event = VMM_LINE_KEY;

    for (; *keys; keys++) {
        assert_int_equal(event, VMM_LINE_KEY);
        event = vmm_line_editor_key(editor, (uint8_t)*keys);
    }
    return event;
}

static void begin(struct vmm_line_editor *editor)
{
    assert_int_equal(vmm_line_editor_begin(editor, "> "), VMM_LINE_KEY);
}

static void assert_line(struct vmm_line_editor *editor, const char *keys,
                        const char *line)
{
    begin(editor);
    assert_int_equal(type(editor, keys), VMM_LINE_DONE);
    assert_string_equal(vmm_line_editor_text(editor), line);
}

static void assert_shows(struct vmm_line_editor *editor, const char *expected)
{
    size_t len;
    const char *output = vmm_line_editor_output(editor, &len);
    char *text = strndup(output, len);

    assert_non_null(strstr(text, expected));
    free(text);
}

static void enter_ends_a_line(void **state)
{
    assert_line(*state, "print(1)\r", "print(1)");
    assert_line(*state, "\r", "");
}

static void the_prompt_is_shown(void **state)
{
    begin(*state);
    assert_shows(*state, "> ");
}

static void keys_edit(void **state)
{
    assert_line(*state, "bc\001a\005d\r", "abcd");
    assert_line(*state, "ab\033[Dx\r", "axb");
    assert_line(*state, "one two\027three\r", "one three");
    assert_line(*state, "abc\177\r", "ab");
}

static void characters_are_those_of_utf8(void **state)
{
    assert_line(*state, "\303\251\342\202\254\177x\r", "\303\251x");
    assert_line(*state, "a\377b\r", "ab");
}

static void control_d_ends_the_input_on_an_empty_line_only(void **state)
{
    begin(*state);
    assert_int_equal(type(*state, "ab\001\004\005"), VMM_LINE_KEY);
    assert_int_equal(type(*state, "\177\004"), VMM_LINE_END);
    assert_false(vmm_line_editor_busy(*state));
}

static void lines_come_back(void **state)
{
    vmm_line_editor_remember(*state, "one");
    vmm_line_editor_remember(*state, "two");
    assert_line(*state, "\033[A\033[A\r", "one");
    assert_line(*state, "\033OA\r", "two");
    assert_line(*state, "\022n\r", "one");
}

static void as_many_lines_come_back_as_asked_for(void **state)
{
    static const char *const lines[] = {"1", "2", "3", "4"};

    for (size_t i = 0; i < 4; i++)
        vmm_line_editor_remember(*state, lines[i]);
    assert_line(*state, "\033[A\033[A\033[A\033[A\033[A\r", "2");
}

static void tab_asks_what_to_insert(void **state)
{
    begin(*state);
    assert_int_equal(type(*state, "vm.vcrest\002\002\002\002\t"),
                     VMM_LINE_COMPLETE);
    assert_string_equal(vmm_line_editor_text(*state), "vm.vc");
    assert_int_equal(vmm_line_editor_complete(*state, "pus", ""), VMM_LINE_KEY);
    assert_int_equal(type(*state, "\r"), VMM_LINE_DONE);
    assert_string_equal(vmm_line_editor_text(*state), "vm.vcpusrest");
}

static void tab_shows_a_list_and_the_line_again(void **state)
{
    begin(*state);
    assert_int_equal(type(*state, "ab\t"), VMM_LINE_COMPLETE);
    assert_int_equal(vmm_line_editor_complete(*state, "", "abc abd\n"),
                     VMM_LINE_KEY);
    assert_shows(*state, "\nabc abd\n> ab");
}

static void a_line_can_be_given_up_at_any_key(void **state)
{
    static const char *const keys[] = {"",      "ab",   "\033",
                                       "\022a", "\303", "\026"};

    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        begin(*state);
        type(*state, keys[i]);
        assert_int_equal(vmm_line_editor_cancel(*state), VMM_LINE_END);
        assert_line(*state, "new\r", "new");
    }
}

static void a_line_is_shown_anew(void **state)
{
    begin(*state);
    type(*state, "ab");
    assert_int_equal(vmm_line_editor_refresh(*state), VMM_LINE_KEY);
    assert_shows(*state, "\n> ab");
}

static void the_window_may_change_at_any_key(void **state)
{
    begin(*state);
    type(*state, "abcdefghijklmnopqrstuvwxyz");
    vmm_line_editor_resize(*state, 10, 12);
    assert_true(vmm_line_editor_busy(*state));
    assert_int_equal(type(*state, "\001A"), VMM_LINE_KEY);
    vmm_line_editor_resize(*state, 1, 1);
    vmm_line_editor_resize(*state, 500, 1000);
    assert_int_equal(type(*state, "B\r"), VMM_LINE_DONE);
    assert_string_equal(vmm_line_editor_text(*state),
                        "ABabcdefghijklmnopqrstuvwxyz");
}

static void an_editor_can_be_freed_at_any_time(void **state)
{
    static const char *const keys[] = {"", "ab", "\033", "\022a", "a\t"};

    (void)state;
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        struct vmm_line_editor *editor;

        assert_int_equal(vmm_line_editor_new(3, &editor, NULL), 0);
        begin(editor);
        type(editor, keys[i]);
        vmm_line_editor_free(editor);
    }
}

static void two_editors_do_not_meet(void **state)
{
    struct vmm_line_editor *other;

    assert_int_equal(vmm_line_editor_new(3, &other, NULL), 0);
    begin(*state);
    begin(other);
    type(*state, "on");
    type(other, "tw");
    assert_int_equal(type(*state, "e\r"), VMM_LINE_DONE);
    assert_int_equal(type(other, "o\r"), VMM_LINE_DONE);
    assert_string_equal(vmm_line_editor_text(*state), "one");
    assert_string_equal(vmm_line_editor_text(other), "two");
    vmm_line_editor_free(other);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(enter_ends_a_line),
        TEST(the_prompt_is_shown),
        TEST(keys_edit),
        TEST(characters_are_those_of_utf8),
        TEST(control_d_ends_the_input_on_an_empty_line_only),
        TEST(lines_come_back),
        TEST(as_many_lines_come_back_as_asked_for),
        TEST(tab_asks_what_to_insert),
        TEST(tab_shows_a_list_and_the_line_again),
        TEST(a_line_can_be_given_up_at_any_key),
        TEST(a_line_is_shown_anew),
        TEST(the_window_may_change_at_any_key),
        TEST(an_editor_can_be_freed_at_any_time),
        TEST(two_editors_do_not_meet),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
