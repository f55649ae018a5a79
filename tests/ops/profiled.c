#include "profiled.h"

#include "base/error.h"
#include "base/mem.h"
#include "ops/linear.h"
#include "vk/profile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
// cmocka wants the headers above first.
#include <cmocka.h>

void require(bool ok)
{
    if (!ok) fail_msg("%s", err_message());
}

struct vk_device *profiled_device(void)
{
    struct vk_device *d = vk_device_create(&(struct vk_device_params){.profile = true});
    require(d != NULL);
    if (vk_device_caps(d)->timestamp_ns > 0) return d;
    vk_device_destroy(d);
    skip();
    return NULL;
}

bool profiled_has(const struct vk_device *d, enum vk_tier tier)
{
    return tier == VK_TIER_COOPMAT2  ? op_units_grains(d, OP_UNITS_FP16) != NULL
           : tier == VK_TIER_COOPMAT ? op_units_matrix(d, OP_UNITS_FP16) != NULL
                                     : (vk_device_caps(d)->tiers & tier) != 0;
}

uint64_t profiled_calls(struct vk_device *d, const char *prefix)
{
    struct vk_profile_row *rows;
    size_t count;
    uint64_t sum = 0;
    require(vk_profile(d, &rows, &count));
    for (size_t i = 0; i < count; i++)
        if (strncmp(rows[i].kernel, prefix, strlen(prefix)) == 0) sum += rows[i].calls;
    mem_free(rows);
    return sum;
}

vk_addr put_normal(struct vk_device *d, struct vk_arena *a, uint64_t count, struct rng *rng)
{
    vk_addr addr = vk_arena_alloc(a, count * 4);
    float *values = MEM_ARRAY(float, count);
    for (uint64_t i = 0; i < count; i++)
        values[i] = (float)rng_normal(rng);
    require(addr && vk_write(d, addr, values, count * 4));
    mem_free(values);
    return addr;
}
