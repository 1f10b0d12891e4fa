/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The virtio console, driven over both transports: bytes both ways, control
 * messages, slow sinks, and drivers that break the rules. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <linux/virtio_console.h>

#include <vmm/virtio_console.h>

#include "virtio_rings.h"

#define MULTIPORT (UINT64_C(1) << VIRTIO_CONSOLE_F_MULTIPORT)
#define SIZE      (UINT64_C(1) << VIRTIO_CONSOLE_F_SIZE)

/* Queues. */
enum { IN0, OUT0, TO_DRIVER, TO_DEVICE, IN1, OUT1, QUEUES };

/* A host's end of a port: takes what it has room for, has what it was given. */
struct end {
    uint8_t output[1 << 20];
    size_t output_len, room;
    const char *input;
    unsigned closed;
};

struct test {
    struct rings rings; /* first */
    struct end ends[2];
};

static size_t end_output(void *context, const uint8_t *bytes, size_t len)
{
    struct end *end = context;

    if (len > end->room - end->output_len)
        len = end->room - end->output_len;
    memcpy(end->output + end->output_len, bytes, len);
    end->output_len += len;
    return len;
}

static size_t end_pull(void *context, uint8_t *bytes, size_t max)
{
    struct end *end = context;
    size_t len = strnlen(end->input, max);

    memcpy(bytes, end->input, len);
    end->input += len;
    return len;
}

static void end_closed(void *context)
{
    ((struct end *)context)->closed++;
}

static struct test *test_new(unsigned ports, uint64_t patience_ns)
{
    static struct test t;
    struct vmm_virtio_console_port wires[2];
    struct vmm_virtio *virtio;
    struct vmm_error err;

    memset(&t, 0, sizeof(t));
    host_set_up(&t.rings.host);
    for (unsigned i = 0; i < 2; i++) {
        t.ends[i].room = sizeof(t.ends[i].output);
        t.ends[i].input = "";
        wires[i] = (struct vmm_virtio_console_port){.name = i ? "agent" : NULL,
                                                    .output = end_output,
                                                    .pull = end_pull,
                                                    .closed = end_closed,
                                                    .context = &t.ends[i]};
    }
    struct vmm_virtio_console_config config = {
        .memory = t.rings.host.driver.memory,
        .loop = t.rings.host.loop,
        .ports = wires,
        .port_count = ports,
        .cols = 80,
        .rows = 25,
        .patience_ns = patience_ns,
    };
    if (vmm_virtio_console_new(&config, &virtio, &err))
        fail_msg("%s", err.text);
    host_attach(&t.rings.host, virtio);
    return &t;
}

static int set_up_one(void **state)
{
    struct test *t = test_new(1, 0);

    rings_bring_up(&t->rings, EVENT_BIT | INDIRECT_BIT | SIZE, 2);
    *state = t;
    return 0;
}

static void bring_up_two(struct test *t)
{
    rings_bring_up(&t->rings, EVENT_BIT | INDIRECT_BIT | SIZE | MULTIPORT,
                   QUEUES);
}

static int set_up_two(void **state)
{
    struct test *t = test_new(2, 0);

    bring_up_two(t);
    *state = t;
    return 0;
}

static int set_up_impatient(void **state)
{
    struct test *t = test_new(2, 30000000);

    bring_up_two(t);
    *state = t;
    return 0;
}

static int tear_down(void **state)
{
    host_tear_down(&((struct test *)*state)->rings.host);
    return 0;
}

static struct vmm_memory *memory_of(struct test *t)
{
    return t->rings.host.driver.memory;
}

/* Print a text by one buffer. */
static void print(struct test *t, unsigned queue, const char *text)
{
    size_t len = strlen(text);

    MUST(vmm_memory_write(memory_of(t), DATA, text, len));
    ring_offer_buffer(&t->rings, queue, 0, DATA, (uint32_t)len, 0);
    ring_notify(&t->rings, queue);
}

static void assert_output(struct end *end, const char *text)
{
    assert_int_equal(end->output_len, strlen(text));
    assert_memory_equal(end->output, text, strlen(text));
    end->output_len = 0;
}

static void type(struct test *t, unsigned port, const char *text)
{
    t->ends[port].input = text;
    vmm_virtio_console_input_ready(t->rings.host.virtio, port);
    serve(&t->rings.host);
}

static void assert_bytes(struct test *t, vmm_gpa_t gpa, const char *text)
{
    char bytes[64];

    MUST(vmm_memory_read(memory_of(t), gpa, bytes, strlen(text)));
    assert_memory_equal(bytes, text, strlen(text));
}

/* Port 0 prints and reads. */
static void assert_works(struct test *t)
{
    t->ends[0].output_len = 0;
    t->ends[0].room = sizeof(t->ends[0].output);
    print(t, OUT0, "fine");
    assert_int_equal(ring_collect(&t->rings, OUT0), 0);
    assert_output(&t->ends[0], "fine");
    ring_offer_buffer(&t->rings, IN0, 0, DATA + 0x100, 16, WRITE);
    ring_notify(&t->rings, IN0);
    type(t, 0, "yes");
    assert_int_equal(ring_collect(&t->rings, IN0), 3);
    assert_bytes(t, DATA + 0x100, "yes");
}

/* ---- bytes ---- */

static void it_is_a_console_with_two_queues(void **state)
{
    struct host *h = *state;

    assert_int_equal(get(h, VIRTIO_MMIO_DEVICE_ID), 3);
    put(h, VIRTIO_MMIO_QUEUE_SEL, 2);
    assert_int_equal(get(h, VIRTIO_MMIO_QUEUE_NUM_MAX), 0);
    put(h, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
    assert_false(get(h, VIRTIO_MMIO_DEVICE_FEATURES) & MULTIPORT);
}

static void output_goes_on_across_buffers(void **state)
{
    struct test *t = *state;

    MUST(vmm_memory_write(memory_of(t), DATA, "hello", 5));
    MUST(vmm_memory_write(memory_of(t), RAM_END - 1, "!", 1));
    ring_desc(&t->rings, OUT0, 0, DATA, 5, NEXT, 1);
    ring_desc(&t->rings, OUT0, 1, RAM_END - 1, 1, 0, 0);
    ring_offer(&t->rings, OUT0, 0);
    ring_notify(&t->rings, OUT0);
    assert_int_equal(ring_collect(&t->rings, OUT0), 0);
    assert_output(&t->ends[0], "hello!");
}

static void input_waits_for_buffers_and_buffers_for_input(void **state)
{
    struct test *t = *state;

    type(t, 0, "ab");
    assert_string_equal(t->ends[0].input, "ab");
    ring_offer_buffer(&t->rings, IN0, 0, DATA, 1, WRITE);
    ring_offer_buffer(&t->rings, IN0, 1, DATA + 1, 1, WRITE);
    ring_offer_buffer(&t->rings, IN0, 2, DATA + 2, 64, WRITE);
    ring_notify(&t->rings, IN0);
    assert_int_equal(ring_collect(&t->rings, IN0), 1);
    assert_int_equal(ring_collect(&t->rings, IN0), 1);
    assert_int_equal(ring_collect(&t->rings, IN0), -1);
    type(t, 0, "cde");
    assert_int_equal(ring_collect(&t->rings, IN0), 3);
    assert_bytes(t, DATA, "abcde");
}

static void the_driver_is_interrupted_for_input(void **state)
{
    struct test *t = *state;

    ring_offer_buffer(&t->rings, IN0, 0, DATA, 8, WRITE);
    ring_notify(&t->rings, IN0);
    unsigned pulses = t->rings.host.wire.pulses;
    type(t, 0, "x");
    assert_int_equal(t->rings.host.wire.pulses, pulses + 1);
}

static void one_turn_outputs_only_so_much(void **state)
{
    struct test *t = *state;

    for (uint16_t i = 0; i < RING_SIZE; i++)
        ring_desc(&t->rings, OUT0, i, 0, 0x20000, i == 7 ? 0 : NEXT, i + 1);
    ring_offer(&t->rings, OUT0, 0);
    put(&t->rings.host, VIRTIO_MMIO_QUEUE_NOTIFY, OUT0);
    vmm_loop_step(t->rings.host.loop, 0);
    assert_int_equal(t->ends[0].output_len, 0x40000);
    serve(&t->rings.host);
    assert_int_equal(t->ends[0].output_len, 0x100000);
    assert_int_equal(ring_collect(&t->rings, OUT0), 0);
    assert_works(t);
}

static void the_emergency_write_needs_no_queue(void **state)
{
    struct test *t = *state;
    struct host *h = &t->rings.host;

    put(h, VIRTIO_MMIO_STATUS, 0);
    put(h,
        VIRTIO_MMIO_CONFIG + offsetof(struct virtio_console_config, emerg_wr),
        'E');
    put(h, VIRTIO_MMIO_CONFIG, 'x');
    assert_output(&t->ends[0], "E");
}

/* ---- slow sinks ---- */

/* A write to where emerg_wr begins is a byte of output. */
static void its_configuration_is_accessed_at_any_width_and_offset(void **state)
{
    struct test *t = *state;

    assert_config_holds(&t->rings.host, 12, 0, 0);
    assert_output(&t->ends[0], "\xff\xff\xff\xff\xff\xff\xff\xff");
    assert_works(t);
}

static void a_full_sink_holds_up_a_named_port(void **state)
{
    struct test *t = *state;
    struct end *end = &t->ends[1];

    end->room = 2;
    print(t, OUT1, "hello");
    assert_int_equal(ring_collect(&t->rings, OUT1), -1);
    vmm_loop_step(t->rings.host.loop, 60000000); /* the console's patience */
    ring_offer_buffer(&t->rings, OUT1, 1, DATA, 4, 0);
    ring_notify(&t->rings, OUT1);
    assert_int_equal(ring_collect(&t->rings, OUT1), -1);
    assert_int_equal(end->output_len, 2);
    assert_works(t);
    end->room = sizeof(end->output);
    MUST(vmm_memory_write(memory_of(t), DATA, "hello", 5));
    vmm_virtio_console_output_ready(t->rings.host.virtio, 1);
    serve(&t->rings.host);
    assert_output(end, "hellohell");
    assert_int_equal(ring_collect(&t->rings, OUT1), 0);
    assert_int_equal(ring_collect(&t->rings, OUT1), 0);
}

static void a_full_sink_holds_up_a_console_not_for_long(void **state)
{
    struct test *t = *state;
    uint64_t begin = vmm_now_ns();

    t->ends[0].room = 2;
    print(t, OUT0, "hello");
    assert_int_equal(ring_collect(&t->rings, OUT0), -1);
    while (vmm_now_ns() < begin + 5000000000u &&
           ring_collect(&t->rings, OUT0) < 0)
        vmm_loop_step(t->rings.host.loop, 1000000000);
    assert_in_range(vmm_now_ns() - begin, 30000000, 5000000000u);
    print(t, OUT0, "more"); /* is dropped at once */
    assert_int_equal(ring_collect(&t->rings, OUT0), 0);
    assert_output(&t->ends[0], "he");
    assert_works(t);
    t->ends[0].room = 0;
    print(t, OUT0, "held up anew");
    assert_int_equal(ring_collect(&t->rings, OUT0), -1);
}

static void a_console_whose_sink_moves_loses_nothing(void **state)
{
    struct test *t = *state;

    t->ends[0].room = 2;
    print(t, OUT0, "hello");
    for (t->ends[0].room = 3; t->ends[0].room < 6; t->ends[0].room++) {
        vmm_virtio_console_output_ready(t->rings.host.virtio, 0);
        serve(&t->rings.host);
    }
    assert_int_equal(ring_collect(&t->rings, OUT0), 0);
    assert_output(&t->ends[0], "hello");
}

/* ---- control ---- */

static void control(struct test *t, uint32_t id, uint16_t event, uint16_t value)
{
    struct virtio_console_control message = {id, event, value};

    MUST(vmm_memory_write(memory_of(t), DATA, &message, sizeof(message)));
    ring_offer_buffer(&t->rings, TO_DEVICE, 0, DATA, sizeof(message), 0);
    ring_notify(&t->rings, TO_DEVICE);
    assert_int_equal(ring_collect(&t->rings, TO_DEVICE), 0);
}

/* The next message to the driver, into a buffer of len bytes; what follows its
 * header goes to rest. */
static struct virtio_console_control told(struct test *t, void *rest,
                                          int64_t rest_len)
{
    struct virtio_console_control message;

    ring_offer_buffer(&t->rings, TO_DRIVER, 0, DATA + 0x200, 64, WRITE);
    ring_notify(&t->rings, TO_DRIVER);
    assert_int_equal(ring_collect(&t->rings, TO_DRIVER),
                     (int64_t)sizeof(message) + rest_len);
    MUST(
        vmm_memory_read(memory_of(t), DATA + 0x200, &message, sizeof(message)));
    MUST(vmm_memory_read(memory_of(t), DATA + 0x208, rest, (size_t)rest_len));
    return message;
}

static void assert_told(struct test *t, uint32_t id, uint16_t event)
{
    struct virtio_console_control message = told(t, NULL, 0);

    assert_int_equal(message.id, id);
    assert_int_equal(message.event, event);
    assert_int_equal(message.value, 1);
}

static void assert_nothing_told(struct test *t)
{
    ring_offer_buffer(&t->rings, TO_DRIVER, 1, DATA + 0x200, 64, WRITE);
    ring_notify(&t->rings, TO_DRIVER);
    assert_int_equal(ring_collect(&t->rings, TO_DRIVER), -1);
}

static void ports_are_told_of_one_after_the_other(void **state)
{
    struct test *t = *state;
    uint16_t size[2];
    char name[5];

    control(t, VIRTIO_CONSOLE_BAD_ID, VIRTIO_CONSOLE_DEVICE_READY, 1);
    assert_told(t, 0, VIRTIO_CONSOLE_PORT_ADD);
    assert_told(t, 1, VIRTIO_CONSOLE_PORT_ADD);
    control(t, 0, VIRTIO_CONSOLE_PORT_READY, 1);
    assert_told(t, 0, VIRTIO_CONSOLE_CONSOLE_PORT);
    assert_int_equal(told(t, size, 4).event, VIRTIO_CONSOLE_RESIZE);
    assert_int_equal(size[0], 80);
    assert_int_equal(size[1], 25);
    assert_told(t, 0, VIRTIO_CONSOLE_PORT_OPEN);
    control(t, 1, VIRTIO_CONSOLE_PORT_READY, 1);
    assert_int_equal(told(t, name, 5).event, VIRTIO_CONSOLE_PORT_NAME);
    assert_memory_equal(name, "agent", 5);
    assert_told(t, 1, VIRTIO_CONSOLE_PORT_OPEN);
    assert_nothing_told(t);
}

static void a_port_gets_no_input_before_the_guest_has_opened_it(void **state)
{
    struct test *t = *state;

    ring_offer_buffer(&t->rings, IN1, 0, DATA + 0x100, 16, WRITE);
    ring_notify(&t->rings, IN1);
    type(t, 1, "to agent");
    assert_int_equal(ring_collect(&t->rings, IN1), -1);
    control(t, 1, VIRTIO_CONSOLE_PORT_OPEN, 1);
    assert_int_equal(ring_collect(&t->rings, IN1), 8);
    assert_bytes(t, DATA + 0x100, "to agent");
    control(t, 1, VIRTIO_CONSOLE_PORT_OPEN, 0);
    ring_offer_buffer(&t->rings, IN1, 0, DATA + 0x100, 16, WRITE);
    ring_notify(&t->rings, IN1);
    type(t, 1, "later");
    assert_int_equal(ring_collect(&t->rings, IN1), -1);
}

static void a_console_is_open_whatever_the_guest_says(void **state)
{
    struct test *t = *state;

    control(t, 0, VIRTIO_CONSOLE_PORT_OPEN, 0);
    assert_works(t);
}

static void a_new_size_is_told(void **state)
{
    struct test *t = *state;
    struct host *h = &t->rings.host;
    uint16_t size[2];

    assert_int_equal(get(h, VIRTIO_MMIO_CONFIG), 25 << 16 | 80);
    assert_int_equal(get(h, VIRTIO_MMIO_CONFIG + 4), 2);
    put(h, VIRTIO_MMIO_INTERRUPT_ACK, 3);
    vmm_virtio_console_resize(h->virtio, 132, 50);
    assert_int_equal(get(h, VIRTIO_MMIO_CONFIG), 50 << 16 | 132);
    assert_int_equal(get(h, VIRTIO_MMIO_INTERRUPT_STATUS),
                     VIRTIO_MMIO_INT_CONFIG);
    assert_int_equal(told(t, size, 4).event, VIRTIO_CONSOLE_RESIZE);
    assert_int_equal(size[0], 132);
    assert_int_equal(size[1], 50);
}

/* ---- drivers that break the rules ---- */

static void control_messages_that_mean_nothing_are_taken(void **state)
{
    struct test *t = *state;

    for (unsigned event = 0; event < 12; event++) {
        control(t, 2, (uint16_t)event, 0);
        control(t, UINT32_MAX, event ? (uint16_t)event : 99, 1);
    }
    assert_nothing_told(t);
    assert_works(t);
}

static void control_buffers_that_are_too_short_are_given_back(void **state)
{
    struct test *t = *state;
    char name[5];

    ring_offer_buffer(&t->rings, TO_DEVICE, 0, DATA, 7, 0);
    ring_notify(&t->rings, TO_DEVICE);
    assert_int_equal(ring_collect(&t->rings, TO_DEVICE), 0);
    control(t, 1, VIRTIO_CONSOLE_PORT_READY, 1);
    ring_offer_buffer(&t->rings, TO_DRIVER, 0, DATA, 12, WRITE);
    ring_notify(&t->rings, TO_DRIVER);
    assert_int_equal(ring_collect(&t->rings, TO_DRIVER), 0);
    ring_offer_buffer(&t->rings, TO_DRIVER, 0, DATA, 64, 0);
    ring_notify(&t->rings, TO_DRIVER);
    assert_int_equal(ring_collect(&t->rings, TO_DRIVER), 0);
    assert_int_equal(told(t, name, 5).event, VIRTIO_CONSOLE_PORT_NAME);
}

/* Outside of RAM: in a hole, across its end, at the top of all. */
static const struct {
    uint64_t gpa;
    uint32_t len;
} outside[] = {
    {RAM_END, 16},
    {RAM_END - 8, 16},
    {UINT64_MAX - 7, 16},
    {DATA, UINT32_MAX},
};

static void output_that_is_not_ram_is_given_back(void **state)
{
    struct test *t = *state;

    for (size_t i = 0; i < sizeof(outside) / sizeof(*outside); i++) {
        ring_offer_buffer(&t->rings, OUT0, 0, outside[i].gpa, outside[i].len,
                          0);
        ring_notify(&t->rings, OUT0);
        assert_int_equal(ring_collect(&t->rings, OUT0), 0);
    }
    ring_offer_buffer(&t->rings, OUT0, 0, DATA, 16, WRITE);
    ring_notify(&t->rings, OUT0);
    assert_int_equal(ring_collect(&t->rings, OUT0), 0);
    assert_works(t);
}

static void a_buffer_that_cannot_be_written_costs_no_input(void **state)
{
    struct test *t = *state;

    t->ends[0].input = "kept";
    for (size_t i = 0; i < sizeof(outside) / sizeof(*outside); i++) {
        ring_offer_buffer(&t->rings, IN0, 0, outside[i].gpa, outside[i].len,
                          WRITE);
        ring_notify(&t->rings, IN0);
        assert_int_equal(ring_collect(&t->rings, IN0), 0);
    }
    ring_offer_buffer(&t->rings, IN0, 0, DATA, 16, 0);
    ring_notify(&t->rings, IN0);
    assert_int_equal(ring_collect(&t->rings, IN0), 0);
    assert_string_equal(t->ends[0].input, "kept");
    ring_offer_buffer(&t->rings, IN0, 0, DATA, 16, WRITE);
    ring_notify(&t->rings, IN0);
    assert_int_equal(ring_collect(&t->rings, IN0), 4);
    assert_works(t);
}

static void a_reset_gives_up_what_is_under_way(void **state)
{
    struct test *t = *state;

    t->ends[1].room = 2;
    print(t, OUT1, "hello");
    ring_offer_buffer(&t->rings, IN0, 0, DATA, 16, WRITE);
    ring_notify(&t->rings, IN0);
    control(t, 1, VIRTIO_CONSOLE_PORT_OPEN, 1);
    control(t, 1, VIRTIO_CONSOLE_PORT_READY, 1);
    bring_up_two(t);
    t->ends[1].room = sizeof(t->ends[1].output);
    vmm_virtio_console_output_ready(t->rings.host.virtio, 1);
    serve(&t->rings.host);
    assert_output(&t->ends[1], "he");
    assert_nothing_told(t);
    ring_offer_buffer(&t->rings, IN1, 0, DATA, 16, WRITE);
    type(t, 1, "not open");
    assert_int_equal(ring_collect(&t->rings, IN1), -1);
    assert_works(t);
}

static void output_before_a_reset_is_not_lost(void **state)
{
    struct test *t = *state;

    MUST(vmm_memory_write(memory_of(t), DATA, "last words", 10));
    ring_offer_buffer(&t->rings, OUT0, 0, DATA, 10, 0);
    put(&t->rings.host, VIRTIO_MMIO_QUEUE_NOTIFY, OUT0);
    put(&t->rings.host, VIRTIO_MMIO_STATUS, 0);
    assert_output(&t->ends[0], "last words");
}

static void ten_thousand_resets_under_way_leave_it_whole(void **state)
{
    struct test *t = *state;

    for (int i = 0; i < 10000; i++) {
        bring_up_two(t);
        t->ends[1].room = t->ends[1].output_len + 2;
        ring_offer_buffer(&t->rings, OUT1, 0, DATA, 16, 0);
        ring_offer_buffer(&t->rings, IN0, 0, DATA, 16, WRITE);
        put(&t->rings.host, VIRTIO_MMIO_QUEUE_NOTIFY, OUT1);
        put(&t->rings.host, VIRTIO_MMIO_QUEUE_NOTIFY, IN0);
        if (i & 1)
            serve(&t->rings.host);
    }
    bring_up_two(t);
    assert_works(t);
}

/* ---- life ---- */

static void each_port_hears_once_of_the_end(void **state)
{
    struct test *t = *state;

    host_detach(&t->rings.host);
    vmm_virtio_close(t->rings.host.virtio);
    assert_int_equal(t->ends[0].closed, 1);
    assert_int_equal(t->ends[1].closed, 1);
    vmm_virtio_console_input_ready(t->rings.host.virtio, 1);
    vmm_virtio_console_output_ready(t->rings.host.virtio, 7);
    vmm_virtio_console_resize(t->rings.host.virtio, 1, 1);
}

static void ports_that_cannot_be_are_refused(void **state)
{
    struct test *t = *state;
    char name[VMM_VIRTIO_CONSOLE_NAME_MAX + 2];
    struct vmm_virtio_console_port ports[VMM_VIRTIO_CONSOLE_PORTS_MAX + 1] = {
        {.name = name}};
    struct vmm_virtio_console_config config = {
        .memory = memory_of(t), .loop = t->rings.host.loop, .ports = ports};
    struct vmm_virtio *virtio;
    struct vmm_error err;

    assert_int_equal(vmm_virtio_console_new(&config, &virtio, &err), -EINVAL);
    config.port_count = VMM_VIRTIO_CONSOLE_PORTS_MAX + 1;
    assert_int_equal(vmm_virtio_console_new(&config, &virtio, &err), -EINVAL);
    config.port_count = 1;
    memset(name, 'n', sizeof(name));
    name[sizeof(name) - 1] = '\0';
    assert_int_equal(vmm_virtio_console_new(&config, &virtio, &err), -EINVAL);
    config.port_count = VMM_VIRTIO_CONSOLE_PORTS_MAX;
    name[1] = '\0';
    MUST(vmm_virtio_console_new(&config, &virtio, &err));
    vmm_virtio_unref(virtio);
}

#define TEST(name, with)                                                       \
    cmocka_unit_test_setup_teardown(name, set_up_##with, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(it_is_a_console_with_two_queues, one),
        TEST(output_goes_on_across_buffers, one),
        TEST(input_waits_for_buffers_and_buffers_for_input, one),
        TEST(the_driver_is_interrupted_for_input, one),
        TEST(one_turn_outputs_only_so_much, one),
        TEST(the_emergency_write_needs_no_queue, one),
        TEST(its_configuration_is_accessed_at_any_width_and_offset, two),
        TEST(a_full_sink_holds_up_a_named_port, impatient),
        TEST(a_full_sink_holds_up_a_console_not_for_long, impatient),
        TEST(a_console_whose_sink_moves_loses_nothing, two),
        TEST(ports_are_told_of_one_after_the_other, two),
        TEST(a_port_gets_no_input_before_the_guest_has_opened_it, two),
        TEST(a_console_is_open_whatever_the_guest_says, two),
        TEST(a_new_size_is_told, two),
        TEST(control_messages_that_mean_nothing_are_taken, two),
        TEST(control_buffers_that_are_too_short_are_given_back, two),
        TEST(output_that_is_not_ram_is_given_back, one),
        TEST(a_buffer_that_cannot_be_written_costs_no_input, one),
        TEST(a_reset_gives_up_what_is_under_way, two),
        TEST(output_before_a_reset_is_not_lost, one),
        TEST(ten_thousand_resets_under_way_leave_it_whole, two),
        TEST(each_port_hears_once_of_the_end, two),
        TEST(ports_that_cannot_be_are_refused, one),
    };

    return RUN_OVER_BOTH("virtio_console", tests);
}
