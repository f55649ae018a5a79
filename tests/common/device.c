#include "device.h"

#include "scratch.h"

#include "base/error.h"
#include "base/log.h"
#include "base/system.h"
#include "vk/internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
// cmocka wants the headers above first.
#include <cmocka.h>

struct vk_device *device;
const char *device_scratch;
static size_t blocks_at_start;

int device_open(void **state)
{
    (void)state;
    device = vk_device_create(NULL);
    if (!device) print_error("%s\n", err_message());
    if (device) blocks_at_start = device->blocks.count;
    return device ? 0 : -1;
}

int device_close(void **state)
{
    (void)state;
    const struct vk_staging *st = &device->staging;
    size_t blocks = blocks_at_start + (st->ring != NULL) + (st->readback != NULL);
    // A test that failed has left things behind: the process gives them back.
    if (device->sequences.count || device->blocks.count != blocks) return 0;
    vk_device_destroy(device);
    return 0;
}

int device_begin(void **state)
{
    scratch_init(device_scratch);
    log_set_level(LOG_QUIET);
    return device_open(state);
}

int device_end(void **state)
{
    scratch_finish();
    return device_close(state);
}

int device_skip(void)
{
    const char *wanted = sys_env("TRDPO_VALIDATION");
    if (!wanted || !*wanted || *wanted == '0' || vk_validation_installed()) return 0;
    fprintf(stderr, "skipped: the Vulkan validation layer is not installed\n");
    return 77;
}
