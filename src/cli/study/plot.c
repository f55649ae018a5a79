// The picture: gold reward against KL to the start, a mark a setting, a line a curve.
#include "cli/study/study.h"

#include <math.h>
#include <stdio.h>

#define WIDTH 860.0
#define HEIGHT 520.0
#define LEFT 70.0
#define RIGHT 630.0
#define TOP 70.0
#define BOTTOM 455.0

// Colours that the colour-blind tell apart too.
static const char *const colours[STUDY_METHODS] = {"#0072b2", "#d55e00", "#009e73"};

// What the axes span: KL on a logarithmic scale, reward on a linear one.
struct axes {
    double kl_min, kl_max, reward_min, reward_max, reward_step;
};

static double x_of(const struct axes *a, double kl)
{
    double span = log(a->kl_max / a->kl_min);
    return LEFT + (RIGHT - LEFT) * log(fmax(kl, a->kl_min) / a->kl_min) / span;
}

static double y_of(const struct axes *a, double reward)
{
    double span = a->reward_max - a->reward_min;
    return BOTTOM - (BOTTOM - TOP) * (reward - a->reward_min) / span;
}

// The largest of 1, 2 and 5 times a power of ten that is at most x.
static double round_down(double x)
{
    double power = pow(10, floor(log10(x)));
    return x / power >= 5 ? 5 * power : x / power >= 2 ? 2 * power : power;
}

static struct axes choose_axes(const struct study_results *r)
{
    struct axes a = {
        .kl_min = INFINITY, .reward_min = r->start.reward, .reward_max = r->start.reward};
    for (size_t i = 0; i < r->settings.count; i++) {
        const struct study_spread *kl = &r->points[i].kl, *reward = &r->points[i].reward;
        a.kl_min = fmin(a.kl_min, kl->mean);
        a.kl_max = fmax(a.kl_max, kl->mean + kl->deviation);
        a.reward_min = fmin(a.reward_min, reward->mean - reward->deviation);
        a.reward_max = fmax(a.reward_max, reward->mean + reward->deviation);
    }
    // An estimate of a small KL may be below 0; a logarithm has no place for it.
    a.kl_min = fmax(a.kl_min, 1e-3) / 1.3;
    a.kl_max = fmax(a.kl_max, 2 * a.kl_min) * 1.1;
    a.reward_step = round_down(fmax(a.reward_max - a.reward_min, 1e-3) / 4);
    a.reward_min = a.reward_step * floor(a.reward_min / a.reward_step);
    a.reward_max = a.reward_step * ceil(a.reward_max / a.reward_step + 0.2);
    return a;
}

// ---- parts ----

static void line(struct str *svg, double x1, double y1, double x2, double y2, const char *style)
{
    str_appendf(svg, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" %s/>\n", x1, y1, x2, y2,
                style);
}

static void text(struct str *svg, double x, double y, const char *style, const char *what)
{
    str_appendf(svg, "<text x=\"%.1f\" y=\"%.1f\" %s>%s</text>\n", x, y, style, what);
}

static void draw_axes(struct str *svg, const struct axes *a)
{
    static const char grid[] = "stroke=\"#e4e4e4\"", middle[] = "text-anchor=\"middle\"";
    char label[32];
    for (double k = round_down(a->kl_min); k <= a->kl_max; k = round_down(2.6 * k)) {
        if (k < a->kl_min) continue;
        snprintf(label, sizeof label, "%g", k);
        line(svg, x_of(a, k), TOP, x_of(a, k), BOTTOM, grid);
        text(svg, x_of(a, k), BOTTOM + 20, middle, label);
    }
    int steps = (int)lround((a->reward_max - a->reward_min) / a->reward_step);
    for (int i = 0; i <= steps; i++) {
        double reward = a->reward_min + i * a->reward_step;
        if (fabs(reward) < a->reward_step / 2) reward = 0;
        snprintf(label, sizeof label, "%.6g", reward);
        line(svg, LEFT, y_of(a, reward), RIGHT, y_of(a, reward), grid);
        text(svg, LEFT - 8, y_of(a, reward) + 4, "text-anchor=\"end\"", label);
    }
    str_appendf(svg,
                "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"none\" "
                "stroke=\"#555\"/>\n",
                LEFT, TOP, RIGHT - LEFT, BOTTOM - TOP);
    text(svg, (LEFT + RIGHT) / 2, BOTTOM + 45, middle, "KL to the start, nats");
    str_appendf(svg,
                "<text transform=\"translate(22 %.1f) rotate(-90)\" text-anchor=\"middle\">gold "
                "reward (1: the best possible)</text>\n",
                (TOP + BOTTOM) / 2);
}

// A mark of a method's own shape; hollow for its second curve.
static void mark(struct str *svg, enum study_method method, bool hollow, double x, double y)
{
    const char *colour = colours[method];
    str_appendf(svg, "<path d=\"M%.1f %.1f", x, y);
    if (method == STUDY_DPO)
        str_append(svg, "m-5 0a5 5 0 1 0 10 0a5 5 0 1 0 -10 0z\"");
    else if (method == STUDY_SOFT)
        str_append(svg, "m-4.5 -4.5h9v9h-9z\"");
    else
        str_append(svg, "m0 -6l5.5 10h-11z\"");
    str_appendf(svg, " fill=\"%s\" stroke=\"%s\" stroke-width=\"1.5\"/>\n",
                hollow ? "#fff" : colour, colour);
}

static void draw_curve(struct str *svg, const struct study_results *r, const struct axes *a,
                       size_t first, size_t end, bool second)
{
    enum study_method method = r->settings.items[first].method;
    char bar[64];
    snprintf(bar, sizeof bar, "stroke=\"%s\" opacity=\"0.45\"", colours[method]);
    str_append(svg, "<polyline points=\"");
    for (size_t i = first; i < end; i++)
        str_appendf(svg, "%s%.1f,%.1f", i > first ? " " : "", x_of(a, r->points[i].kl.mean),
                    y_of(a, r->points[i].reward.mean));
    str_appendf(svg, "\" fill=\"none\" stroke=\"%s\" stroke-width=\"1.8\"%s/>\n", colours[method],
                second ? " stroke-dasharray=\"6 4\"" : "");
    for (size_t i = first; i < end; i++) {
        const struct study_spread *kl = &r->points[i].kl, *reward = &r->points[i].reward;
        double x = x_of(a, kl->mean), y = y_of(a, reward->mean);
        line(svg, x, y_of(a, reward->mean - reward->deviation), x,
             y_of(a, reward->mean + reward->deviation), bar);
        line(svg, x_of(a, kl->mean - kl->deviation), y, x_of(a, kl->mean + kl->deviation), y, bar);
        char *name = study_setting_name(&r->settings.items[i]);
        str_appendf(svg, "<g><title>%s: reward %.3f, KL %.2f</title>\n", name, reward->mean,
                    kl->mean);
        mark(svg, method, second, x, y);
        str_append(svg, "</g>\n");
        mem_free(name);
    }
}

static void draw_legend(struct str *svg, const struct study_setting *s, bool second, double y)
{
    char *label = s->method == STUDY_DPO    ? str_format("DPO")
                  : s->method == STUDY_SOFT ? str_format("TR-DPO soft, alpha %g", s->alpha)
                                            : str_format("TR-DPO hard, tau %d", s->tau);
    char style[96];
    snprintf(style, sizeof style, "stroke=\"%s\" stroke-width=\"1.8\"%s", colours[s->method],
             second ? " stroke-dasharray=\"6 4\"" : "");
    line(svg, RIGHT + 16, y, RIGHT + 46, y, style);
    mark(svg, s->method, second, RIGHT + 31, y);
    text(svg, RIGHT + 54, y + 4, "", label);
    mem_free(label);
}

void study_plot(const struct study_results *r, struct str *svg)
{
    struct axes a = choose_axes(r);
    str_appendf(svg,
                "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\" "
                "viewBox=\"0 0 %.0f %.0f\" font-family=\"sans-serif\" font-size=\"13\" "
                "fill=\"#222\">\n<rect width=\"%.0f\" height=\"%.0f\" fill=\"#fff\"/>\n",
                WIDTH, HEIGHT, WIDTH, HEIGHT, WIDTH, HEIGHT);
    text(svg, LEFT, 30, "font-size=\"17\"", "Gold reward against KL to the start");
    char *note = str_format("Beta falls along each line from left to right. Marks: mean of %u "
                            "seed%s; bars: one standard deviation.",
                            (unsigned)r->seeds, r->seeds == 1 ? "" : "s");
    text(svg, LEFT, 52, "fill=\"#555\"", note);
    mem_free(note);
    draw_axes(svg, &a);
    double start = y_of(&a, r->start.reward), legend = TOP + 12;
    line(svg, LEFT, start, RIGHT, start, "stroke=\"#555\" stroke-dasharray=\"2 3\"");
    line(svg, RIGHT + 16, legend, RIGHT + 46, legend, "stroke=\"#555\" stroke-dasharray=\"2 3\"");
    text(svg, RIGHT + 54, legend + 4, "", "start (SFT)");
    for (size_t first = 0, end; first < r->settings.count; first = end) {
        const struct study_setting *s = &r->settings.items[first];
        end = study_curve_end(r, first);
        bool second = first > 0 && r->settings.items[first - 1].method == s->method;
        draw_curve(svg, r, &a, first, end, second);
        draw_legend(svg, s, second, legend += 24);
    }
    str_append(svg, "</svg>\n");
}
