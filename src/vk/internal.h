// What the files of this layer share. Not for other layers, except tests that need a setter.
//
// A device is used by one thread at a time.
//
// Environment, for tests and for hunting faults:
//   TRDPO_VALIDATION=1       the Khronos validation layer with synchronisation validation; any
//                            message of it makes the next submission or wait fail, and a process
//                            that destroys a device regardless aborts
//   TRDPO_NO_HOST_VISIBLE=1  never map device memory: the staging path of discrete GPUs
//   TRDPO_GPU_WORKGROUPS=1   workgroups of 64 on CPU devices too: several subgroups in each
//   TRDPO_LANE_REGISTERS=128 kernels as for GPUs with that many registers an invocation
#ifndef TRDPO_VK_INTERNAL_H
#define TRDPO_VK_INTERNAL_H

#include "base/array.h"
#include "base/error.h"
#include "vk/memory.h"
#include "vk/profile.h"
#include "vk/sequence.h"

#include <volk.h>

// ---- instance.c: loader and instance ----

bool vk_instance_create(VkInstance *instance);
void vk_instance_destroy(VkInstance instance); // NULL accepted

// False with an error if the validation layer has had something to say (TRDPO_VALIDATION).
bool vk_validation_ok(void);
void vk_validation_reset(void);     // forgets what it said
bool vk_validation_installed(void); // whether the loader has the layer

// Message for a VkResult other than VK_SUCCESS: err_device("WHAT failed: ..."). Returns false.
bool vk_fail(VkResult result, const char *what);
const char *vk_result_name(VkResult result);

// ---- caps.c: what a physical device has ----

struct vk_physical {
    VkPhysicalDevice handle;
    struct vk_caps caps;
};

// The devices of an instance in the order of --device N; mem_free().
bool vk_physical_list(VkInstance instance, struct vk_physical **list, size_t *count);

// ---- coopmat.c: matrix units ----

// VK_COMPONENT_TYPE_BFLOAT16_KHR, which not every header has.
#define COMPONENT_BF16 ((VkComponentTypeKHR)1000141000)

// Fills in what a device's matrix units can do, and their tier. After the rest of caps.
void vk_coopmat_query(VkInstance instance, VkPhysicalDevice handle, struct vk_caps *caps);

// VkPhysicalDeviceShaderBfloat16FeaturesKHR, which not every header has.
struct vk_bfloat16_features {
    VkStructureType sType;
    void *pNext;
    VkBool32 type, dot_product, cooperative_matrix;
};

// Features to enable for them: puts them in front of the chain at *next and the names of their
// extensions into `names`; returns how many, 0 where the device is without their tier. `features`
// must live until the device is made.
#define VK_COOPMAT_EXTENSIONS 2
struct vk_coopmat_features {
#ifdef VK_KHR_cooperative_matrix
    VkPhysicalDeviceCooperativeMatrixFeaturesKHR coopmat;
#endif
    struct vk_bfloat16_features bfloat16;
};
uint32_t vk_coopmat_enable(const struct vk_caps *caps, struct vk_coopmat_features *features,
                           void **next, const char *names[VK_COOPMAT_EXTENSIONS]);

// ---- coopmat2.c: matrices of free sizes, of subgroups and workgroups ----

// As those above; after vk_coopmat_query(), and where that found nothing, nothing.
void vk_coopmat2_query(VkInstance instance, VkPhysicalDevice handle, struct vk_caps *caps);

struct vk_coopmat2_features {
#ifdef VK_NV_cooperative_matrix2
    VkPhysicalDeviceCooperativeMatrix2FeaturesNV coopmat2;
#else
    int none;
#endif
};
const char *vk_coopmat2_enable(const struct vk_caps *caps, struct vk_coopmat2_features *features,
                               void **next);

// ---- memory.c ----

// One allocation with its buffer. The usable range starts at `addr`, aligned to VK_ALIGN.
struct vk_block {
    VkBuffer buffer;
    VkDeviceMemory memory;
    vk_addr addr;
    uint64_t bytes;  // usable, padding excluded
    uint64_t total;  // usable and padding (and the span table behind it)
    uint64_t offset; // of addr in the buffer
    uint8_t *host;   // mapping of addr, or NULL
};

#define VK_ALIGN VK_ARENA_ALIGN
#define VK_PADDING 65536u

// `extra` more bytes stand behind the padding. NULL with an error; registered in the device's
// table.
struct vk_block *vk_block_create(struct vk_device *device, enum vk_memory memory, uint64_t bytes,
                                 uint64_t extra, const char *what);
void vk_block_destroy(struct vk_device *device, struct vk_block *block);

// The block that [addr, addr + bytes) lies in (padding excluded), or NULL.
struct vk_block *vk_block_find(const struct vk_device *device, vk_addr addr, uint64_t bytes);

// ---- transfer.c: staging ----

struct vk_staging {
    struct vk_block *ring, *readback;
    uint64_t head; // bytes ever taken from the ring; position is head % capacity
    struct ARRAY_OF(struct vk_staging_use) uses;
    size_t first_use;
};
struct vk_staging_use {
    uint64_t begin,
        ticket; // ring bytes from `begin` to the next use are free once `ticket` is done
};
void vk_staging_finish(struct vk_device *device);

// Zeroes a block of memory that is not mapped.
bool vk_zero(struct vk_device *device, struct vk_block *block);

// Copies a few bytes (at most 64 KiB) behind a block's padding.
bool vk_write_block(struct vk_device *device, struct vk_block *block, uint64_t offset,
                    const void *src, uint64_t bytes);

// ---- queue.c: submissions ----

// Command buffers for single commands, used again when their ticket is done.
struct vk_transient {
    VkCommandBuffer commands;
    VkQueryPool stamps; // begin and end, under --profile
    uint64_t ticket;    // UINT64_MAX between begin and submission
};

// Begins a command buffer: waits for all earlier submissions' writes. `once`: for one submission.
bool vk_commands_begin(struct vk_device *device, VkCommandBuffer commands, bool once);
// Ends it: counts up the step counter after everything else. `stamps` and `query`: writes a
// timestamp at the very end, if not VK_NULL_HANDLE.
bool vk_commands_end(struct vk_device *device, VkCommandBuffer commands, VkQueryPool stamps,
                     uint32_t query);
// Queues it, and `then` behind it in the same submission, if that is not VK_NULL_HANDLE; the ticket
// is then vk_ticket().
bool vk_queue_submit(struct vk_device *device, VkCommandBuffer commands, VkCommandBuffer then,
                     const char *what);
bool vk_commands_alloc(struct vk_device *device, VkCommandBuffer *commands);

// A command buffer begun for one submission, and its submission.
VkCommandBuffer vk_transient_begin(struct vk_device *device);
bool vk_transient_submit(struct vk_device *device, VkCommandBuffer commands, const char *what);
// One whose submission is the caller's: nothing is in it yet.
VkCommandBuffer vk_transient_take(struct vk_device *device);
void vk_transient_submitted(struct vk_device *device, VkCommandBuffer commands); // just now

// Everything of `src` before is seen by `dst` after.
void vk_barrier(VkCommandBuffer commands, VkPipelineStageFlags2 src, VkPipelineStageFlags2 dst);

// True once the ticket's work is done; never waits.
bool vk_done(struct vk_device *device, uint64_t ticket);

// Waits until the device is idle, whatever has failed, so that objects can be destroyed. False if
// it hangs: then they are left alone.
bool vk_idle(struct vk_device *device);

// Makes the next `count` submissions do nothing and report success, as some drivers do.
void vk_drop_submissions(struct vk_device *device, uint32_t count);

// ---- pipeline.c, statistics.c and pipeline_cache.c ----

struct vk_pipeline {
    const struct vk_kernel *kernel;
    uint32_t local, spec_count, spec[8];
    VkPipeline handle; // VK_NULL_HANDLE: a free slot of the table
};
struct vk_pipeline_table {
    struct vk_pipeline *items;
    size_t slots, count; // slots: 0 or a power of two
};

// The pipeline for a kernel and options, made on first use. VK_NULL_HANDLE with an error.
VkPipeline vk_pipeline_get(struct vk_device *device, const struct vk_kernel *kernel,
                           const struct vk_launch *launch);
uint32_t vk_local_size(const struct vk_device *device, const struct vk_launch *launch);
void vk_pipelines_finish(struct vk_device *device);

// What the driver tells of a pipeline that it has made, or the recorded error if `handle` is
// VK_NULL_HANDLE, to the device's vk_compile.
void vk_pipeline_tell(struct vk_device *device, const struct vk_pipeline *pipeline);

// Reads the user's pipeline cache; a missing or damaged file makes an empty one.
bool vk_pipeline_cache_open(struct vk_device *device);
void vk_pipeline_cache_close(struct vk_device *device);       // writes it if it grew
char *vk_pipeline_cache_path(const struct vk_device *device); // mem_free(); NULL: no cache folder
bool vk_pipeline_cache_was_read(const struct vk_device *device);

// ---- cost.c: estimates of time ----

struct vk_rates {
    double flops, bytes; // per second
    double launch;       // seconds of a dispatch that does nothing
    double budget;       // seconds of a submission
};
struct vk_cost_sum {
    double flops, bytes, launches;
};
struct vk_rates vk_rates_guess(enum vk_device_kind kind);
double vk_rates_seconds(const struct vk_rates *rates, const struct vk_cost_sum *cost);
// Moves the rate that the estimate hung on toward what was measured.
void vk_rates_learn(struct vk_rates *rates, const struct vk_cost_sum *cost, double seconds);

// Sets the seconds that a submission aims at (0: the default, 0.25).
void vk_set_submission_budget(struct vk_device *device, double seconds);

// ---- sequence.c ----

// A command of a sequence: a dispatch or a copy.
struct vk_command {
    const char *name;
    struct vk_cost_sum cost;
};

// What one submission runs.
struct vk_piece {
    VkCommandBuffer commands;
    VkQueryPool stamps;  // begin, [after each command,] end; VK_NULL_HANDLE without timestamps
    size_t first, count; // commands
    struct vk_cost_sum cost;
    double estimate; // seconds
};

struct vk_seq {
    struct vk_device *device;
    const char *name;
    vk_record_fn record;
    void *ctx;
    struct ARRAY_OF(struct vk_command) commands;
    struct ARRAY_OF(struct vk_piece) pieces; // those beyond piece_count wait to be used again
    size_t piece_count;
    bool recorded;

    // Estimates: by the device's rates when first recorded, times a correction for each command.
    struct vk_rates rates;
    double *correction;
    size_t correction_count;
    uint32_t times_recorded, times_submitted;
    double longest; // seconds of the longest piece that can be cut, when last measured
    double total;   // seconds of all pieces

    uint64_t ticket; // of the last submission
    bool harvested;  // its timestamps were read

    // While recording.
    bool recording, open, failed, in_group, group_dirty; // open: the last piece is not ended yet
    VkPipeline bound;
    struct vk_cost_sum next; // of vk_cost()
    vk_addr scratch;         // of vk_seq_use_scratch()
    uint64_t scratch_bytes;
    uint32_t maths; // of vk_seq_use_maths()
};

// Submissions that a sequence is cut into; 0 before it is recorded.
size_t vk_seq_submissions(const struct vk_seq *s);
// Takes note of the seconds that a piece took.
void vk_seq_measured(struct vk_seq *s, struct vk_piece *piece, double seconds);

// ---- profile.c ----

// A submission with timestamps, `stamps` of them in `pool`: begin, [after each command,] end.
struct vk_timed {
    VkCommandBuffer commands;
    VkQueryPool pool;
    uint32_t stamps;
    const char *what;
    const struct vk_seq *seq; // whose commands are timed each, or NULL
    size_t first, count;      // which of them
};
// One whose timestamps have not been read.
struct vk_profile_flight {
    struct vk_timed timed;
    uint32_t slot; // of the ring
    uint64_t ticket;
    double submitted; // on the host's clock
    bool late;        // the device had nothing to do any more
};
// What the host did, on its clock.
struct vk_profile_mark {
    const char *what;
    double begin, end;
};
#define VK_PROFILE_SLOTS 512
struct vk_profile_state {
    struct ARRAY_OF(struct vk_profile_row) rows;
    struct ARRAY_OF(struct vk_profile_idle) reasons;
    struct ARRAY_OF(struct vk_profile_flight) flights; // in the order of their submission
    struct ARRAY_OF(struct vk_profile_mark) marks;
    struct vk_block *ring; // where the device leaves timestamps
    uint32_t next_slot;
    uint64_t slot_ticket[VK_PROFILE_SLOTS];
    double first, last, busy; // seconds on the device's clock; busy 0: nothing yet
    uint64_t raw;             // the last timestamp seen, and what it counts as once unwrapped
    int64_t ticks;
};
// Queues a submission; under --profile the device leaves its timestamps where they are found later,
// so that nobody waits for them.
bool vk_profile_submit(struct vk_device *device, const struct vk_timed *timed);
// Reads what is done. Before a sequence's commands change.
void vk_profile_collect(struct vk_device *device);
// Forgets what was not read of a sequence.
void vk_profile_forget(struct vk_device *device, const struct vk_seq *s);
void vk_profile_finish(struct vk_device *device);
void vk_profile_add(struct vk_device *device, const char *kernel, double seconds, double flops,
                    double bytes);
void vk_profile_submission(struct vk_device *device, double begin, double end);

// Timestamps of a piece with `count` commands.
uint32_t vk_piece_stamps(const struct vk_device *device, size_t count);
// Learns from the timestamps of a sequence whose work is done; each run's once.
void vk_seq_harvest(struct vk_seq *s);

// ---- device.c ----

struct vk_device {
    VkInstance instance;
    VkPhysicalDevice physical;
    VkDevice handle;
    VkQueue queue;
    struct vk_caps caps;
    uint32_t queue_family, timestamp_bits, max_local;
    uint32_t default_local; // workgroup size of a launch that names none
    bool memory_budget, pin_subgroup_size, full_subgroups, profile;
    const struct vk_compile *compile; // NULL: a device that runs things
    bool statistics;                  // the driver tells what it made of a pipeline
    bool lost, hung; // lost: nothing runs any more; hung: and it may never be idle again

    VkPhysicalDeviceMemoryProperties memory;
    struct ARRAY_OF(struct vk_block *) blocks; // sorted by address
    struct vk_staging staging;

    VkCommandPool pool;
    struct ARRAY_OF(struct vk_transient) transients;
    VkSemaphore timeline;
    uint64_t submitted, completed; // tickets
    struct vk_block *counter;      // uint32: submissions that ran to their end
    const char *last_submitted;    // what, for messages
    uint32_t drop_submissions;     // of vk_drop_submissions(), still to come

    VkPipelineLayout layout;
    VkPipelineCache cache;
    size_t cache_bytes_read, pipelines_made;
    struct vk_pipeline_table pipelines;

    struct ARRAY_OF(struct vk_seq *) sequences;
    struct vk_rates rates;
    struct vk_profile_state prof;
};

// Bytes that the device still has for us, by VK_EXT_memory_budget where it is there.
uint64_t vk_memory_free(VkPhysicalDevice physical, bool budget, uint64_t *total);

#endif
