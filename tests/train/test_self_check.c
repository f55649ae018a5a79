// Losses where policy and reference agree, against each formula of the loss evaluated at D = 0; and
// what the check of the first step takes and refuses.
#include "../common/scratch.h"

#include "train/self_check.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
// cmocka wants the headers above first.
#include <cmocka.h>

static void configure(struct train_config *c, ...)
{
    train_config_init(c);
    va_list pairs;
    va_start(pairs, c);
    for (const char *key; (key = va_arg(pairs, const char *));)
        REQUIRE(train_config_set(c, key, va_arg(pairs, const char *), "test"));
    va_end(pairs);
    train_config_resolve(c);
}
#define CONFIGURE(c, ...) configure((c), __VA_ARGS__, (const char *)0)

static double ls(double x)
{
    return -log(1 + exp(-x));
}

static double s(double x)
{
    return 1 / (1 + exp(-x));
}

// The formulas with u_w = u_l = 0, written as the table of the method has them.
static void each_loss(void **state)
{
    (void)state;
    double E = 0.125, b = 0.25, u_w = 0, u_l = 0, D = u_w - u_l, m = s(b * D / 0.05);
    const struct {
        const char *type;
        double want;
    } cases[] = {
        {"sigmoid", -(1 - E) * ls(b * D) - E * ls(-b * D)},
        {"robust", (-(1 - E) * ls(b * D) + E * ls(-b * D)) / (1 - 2 * E)},
        {"hinge", fmax(0, 1 - b * D)},
        {"ipo", pow(D - 1 / (2 * b), 2)},
        {"ipo_sum", pow(D - 1 / (2 * b), 2)},
        {"sigmoid_norm", -ls(b * D)},
        {"exo_pair", s(b * D) * (ls(b * D) - log(1 - E)) + s(-b * D) * (ls(-b * D) - log(E))},
        {"nca_pair", -ls(b * u_w) - 0.5 * ls(-b * u_w) - 0.5 * ls(-b * u_l)},
        {"bco_pair", -ls(b * u_w) - ls(-b * u_l)},
        {"sppo_hard", pow(u_w - 1 / (2 * b), 2) + pow(u_l + 1 / (2 * b), 2)},
        {"apo_zero", 1 - s(b * u_w) + s(b * u_l)},
        {"apo_down", s(b * u_w) + 1 - s(b * D)},
        {"aot", -(1 - E) * ls(b * D) - E * ls(-b * D)},
        {"aot_unpaired", -(1 - E) * ls(b * D) - E * ls(-b * D)},
        {"discopop", -ls(b * D) * (1 - m) + exp(-b * D) * m},
        {"kto_pair", 1 - s(b * u_w) + 1 - s(-b * u_l)},
        {"sft", NAN},
        {"simpo", NAN},
        {"orpo", NAN},
        {"sigmoid,sft", NAN},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct train_config c;
        double loss = -1;
        CONFIGURE(&c, "loss_type", cases[i].type, "beta", "0.25", "label_smoothing", "0.125");
        bool known = train_loss_of_agreement(&c, true, &loss);
        assert_int_equal(known, !isnan(cases[i].want));
        if (known && !(fabs(loss - cases[i].want) <= 1e-12 * cases[i].want))
            fail_msg("%s: %.17g, want %.17g", cases[i].type, loss, cases[i].want);
        train_config_finish(&c);
    }
}

static void sums_of_losses(void **state)
{
    (void)state;
    struct train_config c;
    double loss;
    CONFIGURE(&c, "loss_type", "sigmoid,bco_pair,hinge", "loss_weights", "0.8,0.25,0.5");
    assert_true(train_loss_of_agreement(&c, true, &loss));
    // Weights are floats, as the kernels have them.
    assert_true(fabs(loss - ((double)0.8f * log(2.0) + 0.25 * 2 * log(2.0) + 0.5)) < 1e-12);
    train_config_finish(&c);
    // A term that weighs nothing says nothing.
    CONFIGURE(&c, "loss_type", "sigmoid,sft", "loss_weights", "1,0");
    assert_true(train_loss_of_agreement(&c, true, &loss) && loss == log(2.0));
    train_config_finish(&c);
    CONFIGURE(&c, "use_weighting", "true");
    assert_false(train_loss_of_agreement(&c, true, &loss));
    train_config_finish(&c);
    CONFIGURE(&c, "f_divergence_type", "js_divergence");
    assert_true(train_loss_of_agreement(&c, true, &loss) && loss == log(2.0));
    train_config_finish(&c);
    CONFIGURE(&c, "method", "cpo");
    assert_false(train_loss_of_agreement(&c, true, &loss));
    train_config_finish(&c);
    CONFIGURE(&c, "method", "kto", "desirable_weight", "3", "undesirable_weight", "0.5");
    assert_true(train_loss_of_agreement(&c, true, &loss) && loss == 1.5);
    assert_true(train_loss_of_agreement(&c, false, &loss) && loss == 0.25);
    train_config_finish(&c);
}

static void first_steps(void **state)
{
    (void)state;
    struct train_config c;
    union train_row_metrics rows[2] = {{.pair = {.loss = 25}}, {.pair = {.loss = 25}}};
    CONFIGURE(&c, "loss_type", "ipo");
    assert_true(train_self_check(&c, rows, 2));
    rows[1].pair.loss = 25.001f;
    assert_false(train_self_check(&c, rows, 2));
    EXPECT_DEVICE_ERROR("self-check failed", "instead of 25", "doctor");
    rows[1].pair.loss = NAN;
    assert_false(train_self_check(&c, rows, 2));
    EXPECT_DEVICE_ERROR("self-check failed");
    rows[1].pair.loss = 25;
    rows[1].pair.reward_rejected = 1e-4f;
    assert_false(train_self_check(&c, rows, 2));
    EXPECT_DEVICE_ERROR("rewards 0 and 0.0001");
    train_config_finish(&c);

    // A loss that is no constant: the rewards are.
    CONFIGURE(&c, "loss_type", "sigmoid,sft");
    union train_row_metrics mixed = {.pair = {.loss = 12}};
    assert_true(train_self_check(&c, &mixed, 1));
    mixed.pair.reward_chosen = -1e-4f;
    assert_false(train_self_check(&c, &mixed, 1));
    EXPECT_DEVICE_ERROR("and loss 12.");
    train_config_finish(&c);

    CONFIGURE(&c, "method", "kto", "undesirable_weight", "3");
    union train_row_metrics kto[2] = {{.unpaired = {.loss = 0.5f, .label = 1}},
                                      {.unpaired = {.loss = 1.5f}}};
    assert_true(train_self_check(&c, kto, 2));
    kto[1].unpaired.label = 1;
    assert_false(train_self_check(&c, kto, 2));
    EXPECT_DEVICE_ERROR("loss 1.5 instead of 0.5");
    train_config_finish(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_loss),
        cmocka_unit_test(sums_of_losses),
        cmocka_unit_test(first_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
