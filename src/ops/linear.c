#include "ops/linear.h"

#include "base/error.h"
#include "base/log.h"
#include "base/system.h"
#include "ops/kernels.h"
#include "ops/matmul.h"

#include <string.h>

// Kernels index elements with 32 bits, as signed numbers in some drivers.
#define ELEMENTS_MOST ((uint64_t)1 << 31)

// The tier named in TRDPO_TIER, if the device has it; else 0.
static enum vk_tier named_tier(const struct vk_caps *caps)
{
    static const struct {
        const char *name;
        enum vk_tier tier;
    } names[] = {{"direct", VK_TIER_DIRECT},
                 {"shared", VK_TIER_SHARED},
                 {"coopmat", VK_TIER_COOPMAT},
                 {"coopmat2", VK_TIER_COOPMAT2}};
    const char *wanted = sys_env("TRDPO_TIER");
    static bool warned;
    if (!wanted || !*wanted) return 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(wanted, names[i].name) == 0 && (caps->tiers & names[i].tier))
            return names[i].tier;
    if (!warned)
        log_warn("TRDPO_TIER: there is no '%s' for this device, only direct, shared%s%s; ignored",
                 wanted, caps->tiers & VK_TIER_COOPMAT ? ", coopmat" : "",
                 caps->tiers & VK_TIER_COOPMAT2 ? ", coopmat2" : "");
    warned = true;
    return 0;
}

enum vk_tier op_linear_tier(const struct vk_device *device)
{
    const struct vk_caps *caps = vk_device_caps(device);
    enum vk_tier named = named_tier(caps);
    if (named >= VK_TIER_COOPMAT) return VK_TIER_SHARED;
    if (named) return named;
    // Software devices keep shared memory in ordinary memory and gain nothing by it.
    return caps->kind == VK_KIND_CPU || !(caps->tiers & VK_TIER_SHARED) ? VK_TIER_DIRECT
                                                                        : VK_TIER_SHARED;
}

const char *op_units_name(enum op_units units)
{
    static const char *const names[OP_UNITS_COUNT] = {"fp32", "fp16", "bf16"};
    return names[units];
}

const struct vk_matrix_size *op_units_matrix(const struct vk_device *device, enum op_units units)
{
    const struct vk_caps *caps = vk_device_caps(device);
    const struct vk_matrix_size *m = units == OP_UNITS_FP16   ? &caps->coopmat_fp16
                                     : units == OP_UNITS_BF16 ? &caps->coopmat_bf16
                                                              : NULL;
    return m && m->m ? m : NULL;
}

const struct vk_matrix_grain *op_units_grains(const struct vk_device *device, enum op_units units)
{
    const struct vk_caps *caps = vk_device_caps(device);
    const struct vk_matrix_grain *grains = units == OP_UNITS_FP16   ? caps->grains_fp16
                                           : units == OP_UNITS_BF16 ? caps->grains_bf16
                                                                    : NULL;
    return grains && grains->m ? grains : NULL;
}

enum op_units op_linear_best_units(const struct vk_device *device)
{
    const struct vk_caps *caps = vk_device_caps(device);
    enum vk_tier named = named_tier(caps);
    if (named ? named < VK_TIER_COOPMAT : caps->kind == VK_KIND_CPU) return OP_UNITS_FP32;
    return op_units_matrix(device, OP_UNITS_BF16)   ? OP_UNITS_BF16
           : op_units_matrix(device, OP_UNITS_FP16) ? OP_UNITS_FP16
                                                    : OP_UNITS_FP32;
}

enum vk_tier op_units_tier(const struct vk_device *device, enum op_units units)
{
    bool asked = named_tier(vk_device_caps(device)) == VK_TIER_COOPMAT2;
    return asked && op_units_grains(device, units) ? VK_TIER_COOPMAT2 : VK_TIER_COOPMAT;
}

double matmul_bytes(const struct matmul *p)
{
    double rows = p->rows, cols = p->cols, depth = p->depth;
    return 4 * rows * depth + op_type_bytes(p->b_type) * cols * depth +
           op_type_bytes(p->y_type) * (p->add ? 2 : 1) * rows * cols +
           (p->swiglu && p->h ? 2 * rows * cols : 0);
}

static bool array_ok(struct vk_seq *s, vk_addr addr, uint64_t rows, uint64_t cols,
                     enum op_type type)
{
    uint64_t count = rows * cols;
    return count <= ELEMENTS_MOST &&
           vk_range_ok(vk_seq_device(s), addr, count * op_type_bytes(type));
}

uint32_t matmul_a_stride(const struct matmul *p)
{
    return p->a_stride ? p->a_stride : p->a_by_depth ? p->depth : p->rows;
}

uint32_t matmul_b_stride(const struct matmul *p)
{
    return p->b_stride ? p->b_stride : p->b_by_depth ? p->depth : p->cols;
}

// The product over at most `most` steps from k on, added to what those before it gave.
static struct matmul depth_part(const struct matmul *p, uint32_t k, uint32_t most)
{
    struct matmul part = *p;
    part.a_stride = matmul_a_stride(p);
    part.b_stride = matmul_b_stride(p);
    part.a += sizeof(float) * (p->a_by_depth ? k : (uint64_t)k * part.a_stride);
    part.b += op_type_bytes(p->b_type) * (p->b_by_depth ? k : (uint64_t)k * part.b_stride);
    part.depth = p->depth - k < most ? p->depth - k : most;
    if (p->live_depth) part.live_from += k;
    part.swiglu = p->swiglu && part.depth == p->depth - k; // the last
    if (k == 0) return part;
    part.add = p->y;
    part.bias = 0;
    return part;
}

bool matmul_record_tier(struct vk_seq *s, const struct matmul *p, enum vk_tier tier)
{
    bool ended = false;
    if (p->rows == 0 || p->cols == 0) return false;
    CHECK(p->depth > 0);
    CHECK(!p->live_depth || p->add == p->y);
    CHECK(p->b_type == OP_F32 || p->y_type == OP_F32);
    CHECK(array_ok(s, p->y, p->rows, p->cols, p->y_type));
    CHECK(array_ok(s, p->a, p->rows, p->depth, OP_F32));
    CHECK(array_ok(s, p->b, p->cols, p->depth, p->b_type));
    CHECK(!p->bias || array_ok(s, p->bias, 1, p->cols, p->b_type));
    CHECK(!p->add || array_ok(s, p->add, p->rows, p->cols, p->y_type));
    CHECK(!p->live || array_ok(s, p->live, 1, 1, OP_F32));
    CHECK(!p->swiglu || (p->a_by_depth && p->b_by_depth && !p->live_depth && p->cols % 2 == 0));
    CHECK(!p->swiglu || p->y_type == OP_F32);
    CHECK(!p->h || array_ok(s, p->h, p->rows, p->cols / 2, OP_F32));
    if (tier == VK_TIER_DIRECT && matmul_direct(s, p)) return false;
    if (tier == VK_TIER_COOPMAT2 && matmul_coopmat(s, p, tier, &ended)) return ended;
    if (tier >= VK_TIER_COOPMAT && matmul_coopmat(s, p, VK_TIER_COOPMAT, &ended)) return ended;
    uint32_t most = matmul_depth_most(p->y_type);
    for (uint32_t k = 0; k < p->depth; k += most) {
        struct matmul part = depth_part(p, k, most);
        if (tier >= VK_TIER_SHARED)
            ended = matmul_shared(s, &part);
        else if (!matmul_few(s, &part))
            matmul_plain(s, &part);
    }
    return ended;
}

enum vk_tier matmul_tier(struct vk_seq *s)
{
    const struct vk_device *device = vk_seq_device(s);
    enum op_units units = (enum op_units)vk_seq_maths(s);
    return op_units_matrix(device, units) ? op_units_tier(device, units) : op_linear_tier(device);
}

bool matmul_record(struct vk_seq *s, const struct matmul *p)
{
    return matmul_record_tier(s, p, matmul_tier(s));
}

static bool stands_alone(struct vk_seq *s, const struct matmul *p)
{
    enum vk_tier tier = matmul_tier(s);
    return tier == VK_TIER_SHARED ? matmul_shared_alone(s, p)
                                  : tier >= VK_TIER_COOPMAT && matmul_coopmat_alone(s, p, tier);
}

struct matmul matmul_of_fwd(const struct op_linear *p)
{
    return (struct matmul){.y = p->y,
                           .a = p->x,
                           .b = p->w,
                           .bias = p->bias,
                           .add = p->add,
                           .live = p->live,
                           .rows = p->rows,
                           .cols = p->out,
                           .depth = p->in,
                           .a_by_depth = true,
                           .b_by_depth = true,
                           .b_type = p->w_type};
}

struct matmul matmul_of_bwd_input(const struct op_linear_bwd_input *p)
{
    return (struct matmul){.y = p->dx,
                           .a = p->dy,
                           .b = p->w,
                           .add = p->add,
                           .live = p->live,
                           .rows = p->rows,
                           .cols = p->in,
                           .depth = p->out,
                           .a_by_depth = true,
                           .b_type = p->w_type};
}

struct matmul matmul_of_bwd_weight(const struct op_linear_bwd_weight *p)
{
    return (struct matmul){.y = p->dw,
                           .a = p->dy,
                           .b = p->x,
                           .add = p->dw,
                           .live = p->live,
                           .rows = p->out,
                           .cols = p->in,
                           .depth = p->rows,
                           .live_depth = true,
                           .y_type = p->dw_type};
}

void op_linear_fwd(struct vk_seq *s, const struct op_linear *p)
{
    struct matmul product = matmul_of_fwd(p);
    matmul_record(s, &product);
}

void op_linear_bwd_input(struct vk_seq *s, const struct op_linear_bwd_input *p)
{
    struct matmul product = matmul_of_bwd_input(p);
    matmul_record(s, &product);
}

static void bias_gradient(struct vk_seq *s, const struct op_linear_bwd_weight *p)
{
    CHECK(array_ok(s, p->dbias, 1, p->out, p->dw_type));
    CHECK(array_ok(s, p->dy, p->rows, p->out, OP_F32));
    struct vk_launch launch = {.local = vk_device_caps(vk_seq_device(s))->subgroup_size};
    launch.x = (p->out + launch.local - 1) / launch.local;
    vk_cost(s, (double)p->rows * p->out, 4.0 * p->rows * p->out);
    DISPATCH_ID(s, KERNEL_BY_GRADS(column_sums, p->dw_type), column_sums, launch, .sums = p->dbias,
                .x = p->dy, .live = p->live, .rows = p->rows, .cols = p->out);
}

void op_linear_bwd_weight(struct vk_seq *s, const struct op_linear_bwd_weight *p)
{
    struct matmul product = matmul_of_bwd_weight(p);
    if (p->rows == 0) return;
    if (p->dbias) bias_gradient(s, p);
    matmul_record(s, &product);
}

void op_linear_bwd(struct vk_seq *s, const struct op_linear_bwd_weight *weight,
                   const struct op_linear_bwd_input *input)
{
    struct matmul dw = matmul_of_bwd_weight(weight), dx = matmul_of_bwd_input(input);
    uint64_t in = sizeof(float) * (uint64_t)input->rows * input->in;
    uint64_t out = sizeof(float) * (uint64_t)input->rows * input->out;
    CHECK(weight->dy == input->dy && weight->rows == input->rows);
    CHECK(weight->in == input->in && weight->out == input->out);
    CHECK(matmul_apart(input->dx, in, weight->x, in));
    CHECK(matmul_apart(input->dx, in, weight->dy, out));
    bool together = input->rows > 0 && stands_alone(s, &dw) && stands_alone(s, &dx);
    if (together) vk_group_begin(s);
    op_linear_bwd_weight(s, weight);
    op_linear_bwd_input(s, input);
    if (together) vk_group_end(s);
}

uint64_t op_linear_scratch_bytes(const struct vk_device *device,
                                 const struct op_linear_shape *shapes, size_t count)
{
    uint64_t most = 0;
    bool shared = op_linear_tier(device) == VK_TIER_SHARED;
    for (size_t i = 0; i < count; i++) {
        uint32_t m = shapes[i].rows, k = shapes[i].in, n = shapes[i].out;
        const uint32_t products[3][3] = {{m, n, k}, {m, k, n}, {n, k, m}}; // rows, cols, depth
        for (int j = 0; j < 3; j++) {
            const uint32_t *size = products[j];
            uint64_t bytes = shared ? matmul_shared_scratch(device, size[0], size[1], size[2])
                                    : matmul_direct_scratch(device, size[0], size[1], size[2]);
            uint64_t units = matmul_coopmat_scratch(device, size[0], size[1], size[2]);
            if (bytes < units) bytes = units;
            if (bytes > most) most = bytes;
        }
    }
    return most;
}

void op_linear_use(struct vk_seq *s, const struct op_linear_setup *setup)
{
    vk_seq_use_scratch(s, setup->scratch, setup->scratch_bytes);
    vk_seq_use_maths(s, setup->units);
}
