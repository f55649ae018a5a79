// Arenas: spans, padding, tables; and copies between host and device.
#include "fixture.h"

#include "base/rng.h"

#define SPAN 65536u
#define SPAN_SHIFT 14 // log2 of words in a span

static void record_number(struct vk_seq *s, void *ctx)
{
    struct number_args args = *(const struct number_args *)ctx;
    struct vk_launch launch = {.local = 64, .x = (args.count + 63) / 64};
    vk_dispatch(s, &test_kernels[TEST_number], launch, &args, sizeof args);
}

// A kernel finds every element through the table of spans; the host finds it where it should be.
static void spans(void **state)
{
    struct fixture *f = *state;
    struct vk_arena a;
    uint32_t count = 4 * SPAN / 4 + 1000; // four whole spans and a short one
    assert_ok(vk_arena_init(
        &a, f->device,
        &(struct vk_arena_params){.name = "spans", .bytes = count * 4, .span_bytes = SPAN}));
    assert_int_equal(a.span_count, 5);
    assert_true(a.spans[4].bytes >= 4000 && a.spans[4].bytes < SPAN);
    struct number_args args = {.spans = a.table, .count = count, .shift = SPAN_SHIFT, .first = 9};
    assert_ok(vk_run_once(f->device, "number", record_number, &args));
    for (uint32_t i = 0; i < a.span_count; i++) {
        uint32_t words = i < 4 ? SPAN / 4 : 1000, *got = MEM_ARRAY(uint32_t, words);
        assert_int_equal(a.spans[i].addr % VK_ALIGN, 0);
        assert_ok(vk_read(f->device, a.spans[i].addr, got, words * 4));
        for (uint32_t k = 0; k < words; k++)
            assert_int_equal(got[k], 9 + i * (SPAN / 4) + k);
        mem_free(got);
    }
    vk_arena_finish(&a);
    vk_arena_finish(&a); // a finished arena is a zeroed one
}

static void zeroed(void **state)
{
    struct fixture *f = *state;
    enum vk_memory kinds[] = {VK_MEMORY_DEVICE, VK_MEMORY_UPLOAD, VK_MEMORY_READBACK};
    uint32_t bytes = 3 * SPAN, *got = MEM_ARRAY(uint32_t, SPAN / 4);
    uint32_t *dirt = make_words(SPAN / 4, 0x9e3779b9u);
    for (int round = 0; round < 2; round++) // memory that was used before too
        for (int k = 0; k < 3; k++) {
            struct vk_arena a;
            assert_ok(vk_arena_init(
                &a, f->device,
                &(struct vk_arena_params){
                    .name = "zeros", .bytes = bytes, .span_bytes = SPAN, .memory = kinds[k]}));
            for (uint32_t i = 0; i < 3; i++) {
                assert_ok(vk_read(f->device, a.spans[i].addr, got, SPAN));
                for (uint32_t w = 0; w < SPAN / 4; w++)
                    assert_int_equal(got[w], 0);
                assert_ok(vk_write(f->device, a.spans[i].addr, dirt, SPAN));
                assert_true((a.spans[i].host != NULL) ==
                            (kinds[k] != VK_MEMORY_DEVICE || f->device->caps.host_visible));
            }
            vk_arena_finish(&a);
        }
    mem_free(dirt);
    mem_free(got);
}

static void ranges(void **state)
{
    struct fixture *f = *state;
    struct vk_arena arenas[20];
    for (int i = 0; i < 20; i++) {
        uint64_t bytes = 1024u * (uint64_t)(1 + (i * 7) % 20);
        assert_ok(vk_arena_init(&arenas[i], f->device,
                                &(struct vk_arena_params){.name = "range", .bytes = bytes}));
    }
    for (int gone = 0; gone <= 10; gone++) {
        for (int i = 0; i < 20; i++) {
            if (i < gone) continue;
            vk_addr at = arenas[i].spans[0].addr;
            uint64_t bytes = arenas[i].spans[0].bytes;
            assert_int_equal(bytes, 1024u * (uint64_t)(1 + (i * 7) % 20));
            assert_true(vk_range_ok(f->device, at, bytes));
            assert_true(vk_range_ok(f->device, at + 4, bytes - 4));
            assert_true(vk_range_ok(f->device, at + bytes, 0));
            assert_false(vk_range_ok(f->device, at, bytes + 1));
            assert_false(vk_range_ok(f->device, at + bytes, 1)); // the padding
            assert_false(vk_range_ok(f->device, at + bytes + VK_PADDING - 4, 4));
            assert_false(vk_range_ok(f->device, at + 4, UINT64_MAX - 2)); // wraps round
            assert_false(vk_range_ok(f->device, at - 1, 1));
            uint8_t *host = vk_host(f->device, at + 17);
            assert_true(host ==
                        (arenas[i].spans[0].host ? (uint8_t *)arenas[i].spans[0].host + 17 : NULL));
        }
        assert_false(vk_range_ok(f->device, 0, 4));
        assert_false(vk_range_ok(f->device, UINT64_MAX - 3, 4));
        vk_addr old = arenas[gone].spans[0].addr;
        vk_arena_finish(&arenas[gone]);
        assert_false(vk_range_ok(f->device, old, 4));
    }
    for (int i = 11; i < 20; i++)
        vk_arena_finish(&arenas[i]);
}

// A measuring arena counts what a real one of that size then gives out.
static void measuring(void **state)
{
    struct fixture *f = *state;
    struct vk_arena measure, real;
    assert_ok(
        vk_arena_init(&measure, NULL, &(struct vk_arena_params){.name = "m", .span_bytes = SPAN}));
    struct rng rng = rng_begin(1, RNG_TEST);
    uint64_t sizes[60];
    for (int i = 0; i < 60; i++) {
        sizes[i] = i == 30 ? SPAN : rng_below(&rng, SPAN / 2);
        vk_addr fake = vk_arena_alloc(&measure, sizes[i]);
        assert_true(fake != 0 && fake % VK_ALIGN == 0);
        assert_false(vk_range_ok(f->device, fake, 1));
    }
    uint64_t mark = vk_arena_mark(&measure);
    vk_arena_alloc(&measure, 5000);
    vk_arena_release(&measure, mark);
    assert_int_equal(vk_arena_mark(&measure), mark);
    assert_true(measure.peak >= mark + 5000);
    assert_ok(vk_arena_init(
        &real, f->device,
        &(struct vk_arena_params){.name = "real", .bytes = measure.peak, .span_bytes = SPAN}));
    vk_addr end = 0;
    uint64_t used = 0;
    for (int i = 0; i < 60; i++) {
        vk_addr at = vk_arena_alloc(&real, sizes[i]);
        assert_int_equal(at % VK_ALIGN, 0);
        assert_true(vk_range_ok(f->device, at, sizes[i]));
        // Behind what was given out before, in this span or at the begin of the next.
        assert_true(at >= end || at == real.spans[real.used / SPAN].addr ||
                    at == real.spans[(real.used - 1) / SPAN].addr);
        assert_true(real.used > used || sizes[i] == 0);
        end = at + sizes[i];
        used = real.used;
    }
    assert_int_equal(vk_arena_mark(&real), mark);
    vk_arena_release(&real, 0);
    assert_int_equal(vk_arena_alloc(&real, 4), real.spans[0].addr);
    vk_arena_finish(&real);
    vk_arena_finish(&measure);
}

static void too_large(void **state)
{
    struct fixture *f = *state;
    struct vk_arena a;
    size_t blocks = f->device->blocks.count;
    uint64_t bytes = f->device->caps.memory_bytes * 2;
    assert_false(vk_arena_init(&a, f->device,
                               &(struct vk_arena_params){.name = "the moon", .bytes = bytes}));
    assert_error(ERR_DEVICE, "the moon (");
    // One span that no allocation can hold.
    if (vk_max_span_bytes(f->device) < f->device->caps.memory_free_bytes / 2) {
        uint64_t span = 1024;
        while (span <= vk_max_span_bytes(f->device))
            span *= 2;
        if (span < f->device->caps.memory_free_bytes) {
            assert_false(vk_arena_init(
                &a, f->device,
                &(struct vk_arena_params){.name = "a slab", .bytes = span, .span_bytes = span}));
            assert_error(ERR_DEVICE, "allocates at most");
        }
    }
    assert_false(vk_arena_init(
        &a, f->device,
        &(struct vk_arena_params){.name = "crumbs", .bytes = 10000 * 1024, .span_bytes = 1024}));
    assert_error(ERR_DEVICE, "crumbs (");
    assert_int_equal(f->device->blocks.count, blocks); // nothing is left behind
    vk_arena_finish(&a);
}

// Sizes and offsets of every kind, there and back, with the neighbours unharmed.
static void copies(void **state)
{
    struct fixture *f = *state;
    uint32_t bytes = 40u << 20; // more than the staging buffers hold
    vk_addr at = vk_arena_alloc(&f->arena, bytes);
    uint8_t *want = MEM_ARRAY(uint8_t, bytes), *got = MEM_ARRAY(uint8_t, bytes);
    struct rng rng = rng_begin(2, RNG_TEST);
    for (uint32_t i = 0; i < bytes; i++)
        want[i] = (uint8_t)((i * 2654435761u) >> 24);
    assert_ok(vk_write(f->device, at, want, bytes));
    for (int i = 0; i < 40; i++) {
        uint32_t offset = (uint32_t)rng_below(&rng, bytes);
        uint32_t n = (uint32_t)rng_below(&rng, i % 2 ? 100 : 1u << 20);
        if (n > bytes - offset) n = bytes - offset;
        for (uint32_t k = 0; k < n; k++)
            want[offset + k] = (uint8_t)rng_u32(&rng);
        if (i % 3)
            assert_ok(vk_write(f->device, at + offset, want + offset, n));
        else
            assert_ok(vk_upload(f->device, at + offset, want + offset, n));
        memset(got, 0, n);
        assert_ok(vk_read(f->device, at + offset, got, n));
        assert_memory_equal(got, want + offset, n);
    }
    assert_ok(vk_read(f->device, at, got, bytes));
    assert_memory_equal(got, want, bytes);
    mem_free(want);
    mem_free(got);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    SKIP_IF_NOT_INSTALLED();
    const struct CMUnitTest tests[] = {
        TEST(spans), TEST(zeroed), TEST(ranges), TEST(measuring), TEST(too_large), TEST(copies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
