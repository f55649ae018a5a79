// Submissions and waiting.
//
// What a submission does, from begin to end of its one command buffer:
//
//   1. a barrier: everything that earlier submissions wrote is seen (the queue runs them in order);
//   2. its own commands: the dispatches of a piece of a sequence, or one copy;
//   3. a barrier, then the counter kernel adds one to the device's step counter;
//   4. a barrier that shows all writes to the host;
//   5. a timestamp, where the piece is timed;
//
// and then the timeline semaphore takes the submission's number, its ticket. Waiting for a ticket
// waits for the semaphore and then compares it with the step counter: a driver that drops or
// cancels a command buffer and still signals leaves the counter behind.
#include "args.h"
#include "base/mem.h"
#include "base/system.h"
#include "vk/internal.h"
#include "vk_spirv.h"

#define STEP_NS 1000000000ull // one look at the queue while waiting

static const struct vk_kernel counter_kernel = {"counter", SPIRV_counter,
                                                sizeof(struct counter_args)};

void vk_barrier(VkCommandBuffer commands, VkPipelineStageFlags2 src, VkPipelineStageFlags2 dst)
{
    VkAccessFlags2 writes = 0, accesses = 0;
    if (src & VK_PIPELINE_STAGE_2_COMPUTE_SHADER_BIT) writes |= VK_ACCESS_2_SHADER_WRITE_BIT;
    if (src & VK_PIPELINE_STAGE_2_ALL_TRANSFER_BIT) writes |= VK_ACCESS_2_TRANSFER_WRITE_BIT;
    if (dst & VK_PIPELINE_STAGE_2_COMPUTE_SHADER_BIT)
        accesses |= VK_ACCESS_2_SHADER_READ_BIT | VK_ACCESS_2_SHADER_WRITE_BIT;
    if (dst & VK_PIPELINE_STAGE_2_ALL_TRANSFER_BIT)
        accesses |= VK_ACCESS_2_TRANSFER_READ_BIT | VK_ACCESS_2_TRANSFER_WRITE_BIT;
    if (dst & VK_PIPELINE_STAGE_2_HOST_BIT) accesses |= VK_ACCESS_2_HOST_READ_BIT;
    VkMemoryBarrier2 barrier = {.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER_2,
                                .srcStageMask = src,
                                .srcAccessMask = writes,
                                .dstStageMask = dst,
                                .dstAccessMask = accesses};
    vkCmdPipelineBarrier2(commands, &(VkDependencyInfo){.sType = VK_STRUCTURE_TYPE_DEPENDENCY_INFO,
                                                        .memoryBarrierCount = 1,
                                                        .pMemoryBarriers = &barrier});
}

#define STAGES (VK_PIPELINE_STAGE_2_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_2_ALL_TRANSFER_BIT)

bool vk_commands_alloc(struct vk_device *device, VkCommandBuffer *commands)
{
    VkCommandBufferAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                        .commandPool = device->pool,
                                        .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
                                        .commandBufferCount = 1};
    *commands = VK_NULL_HANDLE;
    VkResult r = vkAllocateCommandBuffers(device->handle, &info, commands);
    return r == VK_SUCCESS || vk_fail(r, "vkAllocateCommandBuffers");
}

bool vk_commands_begin(struct vk_device *device, VkCommandBuffer commands, bool once)
{
    (void)device;
    VkCommandBufferBeginInfo info = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
                                     .flags = once ? VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT
                                                   : VK_COMMAND_BUFFER_USAGE_SIMULTANEOUS_USE_BIT};
    VkResult r = vkBeginCommandBuffer(commands, &info);
    if (r != VK_SUCCESS) return vk_fail(r, "vkBeginCommandBuffer");
    vk_barrier(commands, STAGES, STAGES);
    return true;
}

bool vk_commands_end(struct vk_device *device, VkCommandBuffer commands, VkQueryPool stamps,
                     uint32_t query)
{
    struct vk_launch launch = {.x = 1};
    VkPipeline pipeline = vk_pipeline_get(device, &counter_kernel, &launch);
    if (pipeline) {
        struct counter_args args = {.steps = device->counter->addr};
        vk_barrier(commands, STAGES, VK_PIPELINE_STAGE_2_COMPUTE_SHADER_BIT);
        vkCmdBindPipeline(commands, VK_PIPELINE_BIND_POINT_COMPUTE, pipeline);
        vkCmdPushConstants(commands, device->layout, VK_SHADER_STAGE_COMPUTE_BIT, 0, sizeof args,
                           &args);
        vkCmdDispatch(commands, 1, 1, 1);
        vk_barrier(commands, STAGES, VK_PIPELINE_STAGE_2_HOST_BIT);
        if (stamps)
            vkCmdWriteTimestamp2(commands, VK_PIPELINE_STAGE_2_ALL_COMMANDS_BIT, stamps, query);
    }
    VkResult r = vkEndCommandBuffer(commands);
    if (r != VK_SUCCESS) return vk_fail(r, "vkEndCommandBuffer");
    return pipeline != VK_NULL_HANDLE;
}

// ---- the queue ----

static bool lost(struct vk_device *d)
{
    d->lost = true;
    return err_device("device '%s' was lost while it ran '%s' (its driver reset it, or it was "
                      "unplugged): look into the system log, update the driver or use a smaller "
                      "token budget, and resume from the last checkpoint",
                      d->caps.name, d->last_submitted ? d->last_submitted : "nothing");
}

bool vk_queue_submit(struct vk_device *device, VkCommandBuffer commands, VkCommandBuffer then,
                     const char *what)
{
    if (device->lost) return lost(device);
    if (!vk_validation_ok()) return false;
    uint64_t ticket = device->submitted + 1;
    // A test takes the place of a driver that drops work.
    bool drop = device->drop_submissions > 0;
    if (drop) device->drop_submissions--;
    VkCommandBufferSubmitInfo buffers[2] = {
        {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_SUBMIT_INFO, .commandBuffer = commands},
        {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_SUBMIT_INFO, .commandBuffer = then}};
    VkSemaphoreSubmitInfo signal = {.sType = VK_STRUCTURE_TYPE_SEMAPHORE_SUBMIT_INFO,
                                    .semaphore = device->timeline,
                                    .value = ticket,
                                    .stageMask = VK_PIPELINE_STAGE_2_ALL_COMMANDS_BIT};
    VkSubmitInfo2 info = {.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO_2,
                          .commandBufferInfoCount = drop   ? 0
                                                    : then ? 2
                                                           : 1,
                          .pCommandBufferInfos = buffers,
                          .signalSemaphoreInfoCount = 1,
                          .pSignalSemaphoreInfos = &signal};
    VkResult r = vkQueueSubmit2(device->queue, 1, &info, VK_NULL_HANDLE);
    device->last_submitted = what;
    if (r == VK_ERROR_DEVICE_LOST) return lost(device);
    if (r != VK_SUCCESS) {
        vk_fail(r, "vkQueueSubmit2");
        return err_context("'%s'", what);
    }
    device->submitted = ticket;
    return true;
}

void vk_drop_submissions(struct vk_device *device, uint32_t count)
{
    device->drop_submissions = count;
}

uint64_t vk_ticket(const struct vk_device *device)
{
    return device->submitted;
}

bool vk_done(struct vk_device *device, uint64_t ticket)
{
    if (device->completed >= ticket) return true;
    uint64_t value = 0;
    if (vkGetSemaphoreCounterValue(device->handle, device->timeline, &value) == VK_SUCCESS &&
        value <= device->submitted && value > device->completed)
        device->completed = value;
    return device->completed >= ticket;
}

// Every submission that the timeline calls done must have counted.
static bool verify(struct vk_device *d)
{
    uint32_t steps = *(const volatile uint32_t *)d->counter->host;
    uint32_t done = (uint32_t)d->completed, last = (uint32_t)d->submitted;
    // The counter may be ahead by what ran since; both wrap round.
    if ((int32_t)(steps - done) >= 0 && (int32_t)(last - steps) >= 0) return true;
    if ((int32_t)(steps - done) < 0)
        return err_device("the driver of device '%s' says that %u submissions are done, but the "
                          "device ran only %u of them: it dropped or cancelled work (the last was "
                          "'%s'), so the results are wrong. Update the driver or use a smaller "
                          "token budget, and resume from the last checkpoint",
                          d->caps.name, done, steps, d->last_submitted);
    return err_device("the step counter of device '%s' is %u after %u submissions: its memory was "
                      "overwritten. Update the driver, run 'trdpo-vk doctor', and resume from the "
                      "last checkpoint",
                      d->caps.name, steps, last);
}

// Seconds without any progress after which waiting gives up. GPUs reset themselves long before;
// a CPU device may have to share its cores with others.
static double patience(const struct vk_device *d)
{
    return d->caps.kind == VK_KIND_CPU ? 1800 : 60;
}

bool vk_wait(struct vk_device *device, uint64_t ticket)
{
    CHECK(ticket <= device->submitted);
    if (device->lost) return lost(device);
    if (device->compile) return vk_validation_ok(); // nothing was submitted
    double since = sys_seconds(), begin = since;
    while (!vk_done(device, ticket)) {
        VkSemaphoreWaitInfo info = {.sType = VK_STRUCTURE_TYPE_SEMAPHORE_WAIT_INFO,
                                    .semaphoreCount = 1,
                                    .pSemaphores = &device->timeline,
                                    .pValues = &ticket};
        uint64_t before = device->completed;
        VkResult r = vkWaitSemaphores(device->handle, &info, STEP_NS);
        if (r == VK_ERROR_DEVICE_LOST) return lost(device);
        if (r != VK_SUCCESS && r != VK_TIMEOUT) return vk_fail(r, "vkWaitSemaphores");
        if (vk_done(device, ticket)) break;
        if (device->completed > before) since = sys_seconds();
        if (sys_seconds() - since > patience(device)) {
            device->lost = device->hung = true;
            return err_device("device '%s' made no progress with '%s' for %.0f s: it hangs. Look "
                              "into the system log, update the driver or use a smaller token "
                              "budget, and resume from the last checkpoint",
                              device->caps.name, device->last_submitted, patience(device));
        }
    }
    vk_profile_host(device, "waiting for the device", begin);
    return verify(device) && vk_validation_ok();
}

bool vk_idle(struct vk_device *device)
{
    if (!device->hung) vkDeviceWaitIdle(device->handle);
    return !device->hung;
}

bool vk_wait_all(struct vk_device *device)
{
    return vk_wait(device, device->submitted);
}

// ---- single commands ----

static struct vk_transient *transient_of(struct vk_device *d, VkCommandBuffer commands)
{
    for (size_t i = 0; i < d->transients.count; i++)
        if (d->transients.items[i].commands == commands) return &d->transients.items[i];
    return NULL;
}

VkCommandBuffer vk_transient_take(struct vk_device *device)
{
    if (device->lost) {
        lost(device);
        return VK_NULL_HANDLE;
    }
    struct vk_transient *free = NULL;
    vk_done(device, device->submitted); // asks once how far the device is
    for (size_t i = 0; i < device->transients.count && !free; i++)
        if (device->transients.items[i].ticket <= device->completed)
            free = &device->transients.items[i];
    if (!free) {
        struct vk_transient fresh = {0};
        if (!vk_commands_alloc(device, &fresh.commands)) return VK_NULL_HANDLE;
        ARRAY_PUSH(&device->transients, fresh);
        free = &device->transients.items[device->transients.count - 1];
    }
    if (!vk_commands_begin(device, free->commands, true)) return VK_NULL_HANDLE;
    free->ticket = UINT64_MAX;
    return free->commands;
}

void vk_transient_submitted(struct vk_device *device, VkCommandBuffer commands)
{
    transient_of(device, commands)->ticket = device->submitted;
}

VkCommandBuffer vk_transient_begin(struct vk_device *device)
{
    VkCommandBuffer commands = vk_transient_take(device);
    if (!commands || !device->profile || device->caps.timestamp_ns <= 0) return commands;
    struct vk_transient *t = transient_of(device, commands);
    VkQueryPoolCreateInfo info = {.sType = VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO,
                                  .queryType = VK_QUERY_TYPE_TIMESTAMP,
                                  .queryCount = 2};
    VkResult r =
        t->stamps ? VK_SUCCESS : vkCreateQueryPool(device->handle, &info, NULL, &t->stamps);
    if (r != VK_SUCCESS) {
        vk_fail(r, "vkCreateQueryPool");
        return VK_NULL_HANDLE;
    }
    vkCmdResetQueryPool(commands, t->stamps, 0, 2);
    vkCmdWriteTimestamp2(commands, VK_PIPELINE_STAGE_2_ALL_COMMANDS_BIT, t->stamps, 0);
    return commands;
}

bool vk_transient_submit(struct vk_device *device, VkCommandBuffer commands, const char *what)
{
    VkQueryPool stamps = transient_of(device, commands)->stamps;
    struct vk_timed timed = {.commands = commands, .pool = stamps, .stamps = 2, .what = what};
    if (!vk_commands_end(device, commands, stamps, 1) || !vk_profile_submit(device, &timed))
        return false;
    vk_transient_submitted(device, commands);
    return true;
}
