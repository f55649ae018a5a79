// The profile counts every dispatch with its cost, and changes no result.
#include "fixture.h"

#include "base/system.h"

#define COUNT 4096u

static void record(struct vk_seq *s, void *ctx)
{
    const vk_addr *y = ctx;
    for (uint32_t i = 0; i < 300; i++) // more than one piece's timestamps
        affine(s, y[0], COUNT, 2 * i + 1, i);
    vk_group_begin(s);
    affine(s, y[0], COUNT / 2, 3, 1);
    affine(s, y[0] + COUNT * 2, COUNT / 2, 5, 1);
    vk_group_end(s);
    vk_copy(s, y[1], y[0], COUNT * 4);
    TEST_DISPATCH(s, spin, (struct vk_launch){.local = 1}, .y = y[0], .turns = 1000);
}

static struct vk_device *open_for(bool profile)
{
    struct vk_device *d = vk_device_create(&(struct vk_device_params){.profile = profile});
    if (!d) fail_msg("%s", err_message());
    return d;
}

// Runs it `times` times; the results in `out`.
static void run(struct vk_device *d, int times, uint32_t *out)
{
    struct vk_arena a;
    uint32_t *words = make_words(COUNT, 3);
    assert_ok(vk_arena_init(&a, d, &(struct vk_arena_params){.name = "a", .bytes = 1 << 20}));
    vk_addr y[2] = {vk_arena_alloc(&a, COUNT * 4), vk_arena_alloc(&a, COUNT * 4)};
    assert_ok(vk_write(d, y[0], words, COUNT * 4));
    struct vk_seq *s = vk_seq_create(d, "profiled", record, y);
    for (int i = 0; i < times; i++)
        assert_ok(vk_seq_submit(s));
    assert_ok(vk_read(d, y[0], out, COUNT * 4));
    assert_ok(vk_read(d, y[1], out + COUNT, COUNT * 4));
    vk_seq_destroy(s);
    vk_arena_finish(&a);
    mem_free(words);
}

static const struct vk_profile_row *row(const struct vk_profile_row *rows, size_t count,
                                        const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(rows[i].kernel, name) == 0) return &rows[i];
    return NULL;
}

static void counts(void **state)
{
    (void)state;
    uint32_t *plain = MEM_ARRAY(uint32_t, 2 * COUNT), *profiled = MEM_ARRAY(uint32_t, 2 * COUNT);
    struct vk_device *d = open_for(false);
    run(d, 4, plain);
    struct vk_profile_row *rows;
    size_t count;
    assert_ok(vk_profile(d, &rows, &count));
    assert_int_equal(count, 0); // not asked for
    mem_free(rows);
    vk_device_destroy(d);

    d = open_for(true);
    if (d->caps.timestamp_ns <= 0) {
        vk_device_destroy(d);
        skip();
    }
    run(d, 4, profiled);
    assert_memory_equal(plain, profiled, 2 * COUNT * 4);
    assert_ok(vk_profile(d, &rows, &count));
    assert_true(count >= 3); // and the test's own copies, where memory is not mapped
    for (size_t i = 1; i < count; i++)
        assert_true(rows[i - 1].seconds >= rows[i].seconds);
    const struct vk_profile_row *r = row(rows, count, "affine");
    assert_non_null(r);
    assert_int_equal(r->calls, 4 * 302);
    assert_true(r->flops == 4 * 301 * 2.0 * COUNT);
    assert_true(r->bytes == 4 * 301 * 8.0 * COUNT);
    assert_true(r->seconds > 0);
    r = row(rows, count, "copy");
    assert_non_null(r);
    assert_int_equal(r->calls, 4);
    assert_true(r->bytes == 4 * 2 * 4.0 * COUNT);
    r = row(rows, count, "spin");
    assert_non_null(r);
    assert_int_equal(r->calls, 4);
    double busy, idle, sum = 0;
    vk_profile_span(d, &busy, &idle);
    for (size_t i = 0; i < count; i++)
        sum += rows[i].seconds;
    assert_true(busy >= sum && idle >= 0); // a submission lasts at least as long as its parts
    mem_free(rows);

    char text[2000] = {0};
    FILE *out = tmpfile();
    assert_non_null(out);
    assert_ok(vk_profile_print(d, out));
    rewind(out);
    size_t n = fread(text, 1, sizeof text - 1, out);
    fclose(out);
    assert_true(n > 0);
    assert_non_null(strstr(text, "kernel"));
    assert_non_null(strstr(text, "affine"));
    assert_non_null(strstr(text, "1208"));
    assert_non_null(strstr(text, "device busy"));

    vk_profile_reset(d);
    assert_ok(vk_profile(d, &rows, &count));
    assert_int_equal(count, 0);
    mem_free(rows);
    vk_profile_span(d, &busy, &idle);
    assert_true(busy == 0 && idle == 0);
    run(d, 1, profiled);
    assert_ok(vk_profile(d, &rows, &count));
    r = row(rows, count, "affine");
    assert_non_null(r);
    assert_int_equal(r->calls, 302);
    mem_free(rows);
    vk_device_destroy(d);
    mem_free(plain);
    mem_free(profiled);
}

// A device without timestamps runs everything, and its profile is empty.
static void without_timestamps(void **state)
{
    (void)state;
    uint32_t *a = MEM_ARRAY(uint32_t, 2 * COUNT), *b = MEM_ARRAY(uint32_t, 2 * COUNT);
    struct vk_device *d = open_for(false);
    run(d, 5, a);
    vk_device_destroy(d);
    d = open_for(true);
    d->caps.timestamp_ns = 0;
    run(d, 5, b);
    assert_memory_equal(a, b, 2 * COUNT * 4);
    struct vk_profile_row *rows;
    size_t count;
    assert_ok(vk_profile(d, &rows, &count));
    assert_int_equal(count, 0);
    mem_free(rows);
    vk_device_destroy(d);
    mem_free(a);
    mem_free(b);
}

static double reason(struct vk_device *d, const char *what, double *all)
{
    struct vk_profile_idle *why;
    size_t count;
    double seconds = 0;
    *all = 0;
    assert_ok(vk_profile_reasons(d, &why, &count));
    for (size_t i = 0; i < count; i++) {
        assert_true(why[i].seconds >= 0 && (i == 0 || why[i].seconds <= why[i - 1].seconds));
        *all += why[i].seconds;
        if (strcmp(why[i].what, what) == 0) seconds = why[i].seconds;
    }
    mem_free(why);
    return seconds;
}

static void spend(struct vk_device *d, const char *what, double seconds)
{
    double since = sys_seconds();
    while (sys_seconds() - since < seconds)
        ;
    if (what) vk_profile_host(d, what, since);
}

// A host that comes late is told of by what it did meanwhile; one that does not is not. Times are
// only known to be at least so long, as the processor may be another's for any time.
static void idle_time(void **state)
{
    (void)state;
    struct vk_device *d = open_for(true);
    if (d->caps.timestamp_ns <= 0) {
        vk_device_destroy(d);
        skip();
    }
    struct vk_arena a;
    assert_ok(vk_arena_init(&a, d, &(struct vk_arena_params){.name = "a", .bytes = 1 << 20}));
    vk_addr y[2] = {vk_arena_alloc(&a, COUNT * 4), vk_arena_alloc(&a, COUNT * 4)};
    struct vk_seq *s = vk_seq_create(d, "profiled", record, y);
    for (int i = 0; i < 4; i++) // beyond the runs that the cuts are learnt from
        assert_ok(vk_seq_submit(s));
    assert_ok(vk_wait_all(d));
    vk_profile_reset(d);
    double busy, idle, all;
    assert_ok(vk_seq_submit(s));
    assert_ok(vk_wait_all(d));
    spend(d, "the test", 0.1);
    spend(d, NULL, 0.05);
    assert_ok(vk_seq_submit(s));
    assert_ok(vk_wait_all(d));
    assert_true(reason(d, "the test", &all) > 0.099);
    vk_profile_span(d, &busy, &idle);
    assert_true(busy > 0 && idle > 0.149);
    assert_true(all > idle - 1e-6 && all < idle + 1e-6);
    assert_true(reason(d, "other work of the host", &all) > 0.049);
    // Begun before the device had finished, and never in the way: no part of the idle time.
    double told = reason(d, "in time", &all);
    assert_true(told == 0);
    for (int i = 0; i < 3; i++) {
        assert_ok(vk_seq_submit(s));
        vk_profile_host(d, "in time", sys_seconds());
    }
    assert_ok(vk_wait_all(d));
    assert_true(reason(d, "in time", &all) < 0.001);
    vk_seq_destroy(s);
    vk_arena_finish(&a);
    vk_device_destroy(d);
}

static void record_short(struct vk_seq *s, void *ctx)
{
    const vk_addr *y = ctx;
    affine(s, *y, 64, 3, 1);
    vk_copy(s, *y + 1024, *y, 256);
}

// More submissions than the ring has room for, read in any number at a time.
static void many(void **state)
{
    (void)state;
    struct vk_device *d = open_for(true);
    if (d->caps.timestamp_ns <= 0) {
        vk_device_destroy(d);
        skip();
    }
    struct vk_arena a;
    assert_ok(vk_arena_init(&a, d, &(struct vk_arena_params){.name = "a", .bytes = 1 << 20}));
    vk_addr y = vk_arena_alloc(&a, COUNT * 4);
    struct vk_seq *s = vk_seq_create(d, "short", record_short, &y);
    const uint32_t runs = VK_PROFILE_SLOTS + 77;
    for (uint32_t i = 0; i < runs; i++) {
        assert_ok(vk_seq_submit(s));
        if (i % 100 == 99) vk_profile_collect(d);
    }
    vk_seq_destroy(s); // reads what is still to be read
    struct vk_profile_row *rows;
    size_t count;
    assert_ok(vk_profile(d, &rows, &count));
    assert_int_equal(row(rows, count, "affine")->calls, runs);
    assert_int_equal(row(rows, count, "copy")->calls, runs);
    mem_free(rows);
    vk_arena_finish(&a);
    vk_device_destroy(d);
}

// Submissions in any order, with gaps.
static void span(void **state)
{
    (void)state;
    struct vk_device *d = open_for(true);
    double busy, idle;
    vk_profile_submission(d, 10.0, 11.0);
    vk_profile_submission(d, 13.0, 13.5);
    vk_profile_submission(d, 11.0, 12.0);
    vk_profile_span(d, &busy, &idle);
    assert_true(busy > 2.49 && busy < 2.51 && idle > 0.99 && idle < 1.01);
    vk_device_destroy(d);
}

int main(void)
{
    SKIP_IF_NOT_INSTALLED();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts), cmocka_unit_test(without_timestamps),
        cmocka_unit_test(span),   cmocka_unit_test(idle_time),
        cmocka_unit_test(many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
