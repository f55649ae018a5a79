// Uploads, dispatches and copies run in the order in which they were submitted, without waits.
#include "fixture.h"

#define COUNT 2048u
#define BYTES (COUNT * 4u)
#define ROUNDS 100u

struct round {
    vk_addr x, y, out;
    uint32_t number;
};

// y = (y * x's round's factor + 7), then out = y; x holds what was uploaded for this round.
static void record_round(struct vk_seq *s, void *ctx)
{
    const struct round *r = ctx;
    affine(s, r->x, COUNT, 2 * r->number + 1, 7);
    vk_copy(s, r->y, r->x, BYTES); // dispatch, then copy
    affine(s, r->y, COUNT, 3, r->number);
    vk_copy(s, r->out, r->y, BYTES);
    vk_copy(s, r->x, r->out, BYTES); // copy after copy
}

static void upload_dispatch_upload(void **state)
{
    struct fixture *f = *state;
    struct round rounds[ROUNDS];
    struct vk_seq *seqs[ROUNDS];
    vk_addr x = vk_arena_alloc(&f->arena, BYTES), y = vk_arena_alloc(&f->arena, BYTES);
    uint32_t *words = MEM_ARRAY(uint32_t, COUNT), *got = MEM_ARRAY(uint32_t, COUNT);
    for (uint32_t r = 0; r < ROUNDS; r++) {
        rounds[r] = (struct round){x, y, vk_arena_alloc(&f->arena, BYTES), r};
        seqs[r] = vk_seq_create(f->device, "round", record_round, &rounds[r]);
    }
    for (uint32_t r = 0; r < ROUNDS; r++) {
        for (uint32_t i = 0; i < COUNT; i++)
            words[i] = i * (r + 1) + r;
        assert_ok(vk_upload(f->device, x, words, BYTES));
        memset(words, 0xee, BYTES); // the caller's bytes are its own again at once
        assert_ok(vk_seq_submit(seqs[r]));
    }
    for (uint32_t r = 0; r < ROUNDS; r++) {
        assert_ok(vk_read(f->device, rounds[r].out, got, BYTES));
        for (uint32_t i = 0; i < COUNT; i++)
            assert_int_equal(got[i], ((i * (r + 1) + r) * (2 * r + 1) + 7) * 3 + r);
        vk_seq_destroy(seqs[r]);
    }
    mem_free(words);
    mem_free(got);
}

// One sequence submitted again and again with new inputs: a run reads the inputs uploaded before
// it, though later uploads are queued long before it runs.
static void record_sum(struct vk_seq *s, void *ctx)
{
    const struct round *r = ctx;
    // A slow start: the host is far ahead.
    TEST_DISPATCH(s, spin, (struct vk_launch){.local = 1}, .y = r->y + BYTES, .turns = 200000);
    affine(s, r->x, COUNT, 5, 1);
    vk_copy(s, r->out, r->x, BYTES);
}

static void same_sequence_new_inputs(void **state)
{
    struct fixture *f = *state;
    struct round r = {.x = vk_arena_alloc(&f->arena, BYTES),
                      .y = vk_arena_alloc(&f->arena, 2 * BYTES),
                      .out = vk_arena_alloc(&f->arena, BYTES)};
    uint32_t *words = MEM_ARRAY(uint32_t, COUNT), *got = MEM_ARRAY(uint32_t, COUNT);
    struct vk_seq *s = vk_seq_create(f->device, "same", record_sum, &r);
    uint64_t tickets[10];
    for (uint32_t k = 0; k < 10; k++) {
        for (uint32_t i = 0; i < COUNT; i++)
            words[i] = i + 1000 * k;
        assert_ok(vk_upload(f->device, r.x, words, BYTES));
        assert_ok(vk_seq_submit(s));
        tickets[k] = vk_ticket(f->device);
        if (k > 0) assert_true(tickets[k] > tickets[k - 1]);
        // What an upload of the next round overwrites must not reach this one.
        memset(words, 0, BYTES);
        assert_ok(vk_upload(f->device, r.x, words, BYTES));
        if (k % 3 == 2) {
            assert_ok(vk_wait(f->device, tickets[k]));
            assert_true(vk_done(f->device, tickets[k]));
        }
        assert_ok(vk_read(f->device, r.out, got, BYTES));
        for (uint32_t i = 0; i < COUNT; i++)
            assert_int_equal(got[i], (i + 1000 * k) * 5 + 1);
    }
    vk_seq_destroy(s);
    mem_free(words);
    mem_free(got);
}

// More bytes than the staging ring holds, in sizes that do not divide it, none waited for.
static void ring_wraps(void **state)
{
    struct fixture *f = *state;
    enum { PIECES = 23, MOST = 3 << 20 };
    static const uint32_t sizes[5] = {MOST, 1, 2654321, 63, 1234567};
    uint8_t *bytes = MEM_ARRAY(uint8_t, MOST), *got = MEM_ARRAY(uint8_t, MOST);
    vk_addr at[PIECES];
    for (uint32_t p = 0; p < PIECES; p++) {
        at[p] = vk_arena_alloc(&f->arena, sizes[p % 5]);
        for (uint32_t i = 0; i < sizes[p % 5]; i++)
            bytes[i] = (uint8_t)((i * 7 + p * 31) ^ (i >> 8));
        assert_ok(vk_upload(f->device, at[p], bytes, sizes[p % 5]));
    }
    // The largest upload there may be, twice as often as the ring holds it.
    uint8_t *large = MEM_ARRAY(uint8_t, 16u << 20);
    vk_addr target = vk_arena_alloc(&f->arena, 16u << 20);
    for (uint32_t k = 0; k < 4; k++) {
        memset(large, (int)k + 1, 16u << 20);
        assert_ok(vk_upload(f->device, target, large, 16u << 20));
    }
    for (uint32_t p = 0; p < PIECES; p++) {
        assert_ok(vk_read(f->device, at[p], got, sizes[p % 5]));
        for (uint32_t i = 0; i < sizes[p % 5]; i++)
            if (got[i] != (uint8_t)((i * 7 + p * 31) ^ (i >> 8)))
                fail_msg("piece %u byte %u", p, i);
    }
    uint8_t *back = MEM_ARRAY(uint8_t, 16u << 20);
    assert_ok(vk_read(f->device, target, back, 16u << 20));
    assert_memory_equal(back, large, 16u << 20);
    mem_free(back);
    mem_free(large);
    mem_free(bytes);
    mem_free(got);
}

// A write that follows a submission in flight does not overtake it.
static void write_waits_its_turn(void **state)
{
    struct fixture *f = *state;
    struct round r = {.x = vk_arena_alloc(&f->arena, BYTES),
                      .y = vk_arena_alloc(&f->arena, 2 * BYTES),
                      .out = vk_arena_alloc(&f->arena, BYTES)};
    uint32_t *words = make_words(COUNT, 11), *zero = MEM_ARRAY(uint32_t, COUNT);
    uint32_t *got = MEM_ARRAY(uint32_t, COUNT);
    struct vk_seq *s = vk_seq_create(f->device, "in flight", record_sum, &r);
    assert_ok(vk_write(f->device, r.x, words, BYTES));
    assert_ok(vk_seq_submit(s));
    assert_ok(vk_write(f->device, r.x, zero, BYTES));
    assert_ok(vk_read(f->device, r.out, got, BYTES));
    for (uint32_t i = 0; i < COUNT; i++)
        assert_int_equal(got[i], i * 11 * 5 + 1);
    assert_ok(vk_read(f->device, r.x, got, BYTES));
    assert_memory_equal(got, zero, BYTES);
    vk_seq_destroy(s);
    mem_free(words);
    mem_free(zero);
    mem_free(got);
}

// What a kernel writes to memory that the host has mapped is there after the wait.
static void record_to_host(struct vk_seq *s, void *ctx)
{
    const struct round *r = ctx;
    affine(s, r->x, COUNT, 3, 2);
    vk_copy(s, r->out, r->x, BYTES);
    affine(s, r->out, COUNT, 1, 5); // straight into readback memory
}

static void readback(void **state)
{
    struct fixture *f = *state;
    struct vk_arena back;
    assert_ok(vk_arena_init(
        &back, f->device,
        &(struct vk_arena_params){.name = "back", .bytes = BYTES, .memory = VK_MEMORY_READBACK}));
    struct round r = {.x = vk_arena_alloc(&f->arena, BYTES), .out = vk_arena_alloc(&back, BYTES)};
    const uint32_t *host = vk_host(f->device, r.out);
    uint32_t *words = make_words(COUNT, 1);
    assert_non_null(host);
    struct vk_seq *s = vk_seq_create(f->device, "to host", record_to_host, &r);
    for (int k = 0; k < 5; k++) {
        assert_ok(vk_upload(f->device, r.x, words, BYTES));
        assert_ok(vk_seq_submit(s));
        assert_ok(vk_wait(f->device, vk_ticket(f->device)));
        for (uint32_t i = 0; i < COUNT; i++)
            assert_int_equal(host[i], (i + (uint32_t)k) * 3 + 2 + 5);
        for (uint32_t i = 0; i < COUNT; i++)
            words[i]++;
    }
    vk_seq_destroy(s);
    vk_arena_finish(&back);
    mem_free(words);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    SKIP_IF_NOT_INSTALLED();
    const struct CMUnitTest tests[] = {
        TEST(upload_dispatch_upload),
        TEST(same_sequence_new_inputs),
        TEST(ring_wraps),
        TEST(write_waits_its_turn),
        TEST(readback),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
