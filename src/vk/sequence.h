// Recorded command sequences: recorded once, submitted many times, cut into bounded submissions.
//
// Rules. A dispatch is followed by one global compute-to-compute barrier; inside
// vk_group_begin/end the dispatches are independent and share the barrier at the end. Sequences
// run in the order of their submission, each seeing all that earlier ones wrote.
#ifndef TRDPO_VK_SEQUENCE_H
#define TRDPO_VK_SEQUENCE_H

#include "vk/memory.h"

// A compiled shader. `code` is NULL where the build's shader compiler could not compile it.
struct vk_kernel {
    const char *name;
    const uint32_t *code;
    uint32_t code_bytes;
    uint32_t push_bytes;
};

// Grid and options of one dispatch. Specialization constant 0 is the workgroup size (`local`; 0:
// 64 on GPUs, the subgroup size on CPU devices), constants 1.. are spec[0..].
struct vk_launch {
    uint32_t x, y, z; // workgroups; 0 counts as 1
    uint32_t local;
    uint32_t spec_count, spec[8];
};

struct vk_seq;

// Records the sequence's commands; called again when the tuner wants other cuts. Must record the
// same commands each time.
typedef void (*vk_record_fn)(struct vk_seq *s, void *ctx);

// `name` is for messages and the profile; must outlive the sequence. Recorded on first submission.
struct vk_seq *vk_seq_create(struct vk_device *device, const char *name, vk_record_fn record,
                             void *ctx);
void vk_seq_destroy(struct vk_seq *s); // waits until it is idle; NULL accepted

// Queues the sequence and returns at once. A sequence is cut into submissions whose estimated time
// is at most 0.25 s; estimates (FLOP/s and bytes/s of this device) follow measured timestamps, and
// a sequence whose cuts turn out more than twice too long is recorded again. Each submission counts
// up the device's step counter as its last act.
bool vk_seq_submit(struct vk_seq *s);

// Records, submits, waits and forgets: for single commands.
bool vk_run_once(struct vk_device *device, const char *name, vk_record_fn record, void *ctx);

// A point in the queue: everything submitted so far. Waiting checks the step counter against the
// number of submissions and fails (err_device) if the driver dropped or cancelled work, was lost,
// or timed out.
uint64_t vk_ticket(const struct vk_device *device);
bool vk_wait(struct vk_device *device, uint64_t ticket);
bool vk_wait_all(struct vk_device *device);

// ---- inside a record function ----

struct vk_device *vk_seq_device(struct vk_seq *s);

// Scratch that operations recorded from here on may use between their own dispatches (op_linear).
// None when a recording begins.
void vk_seq_use_scratch(struct vk_seq *s, vk_addr scratch, uint64_t bytes);
vk_addr vk_seq_scratch(const struct vk_seq *s, uint64_t *bytes);

// The maths that operations recorded from here on go by: a number of theirs (enum op_units). 0 when
// a recording begins.
void vk_seq_use_maths(struct vk_seq *s, uint32_t maths);
uint32_t vk_seq_maths(const struct vk_seq *s);

// Cost of the next dispatch or copy, for cuts and the profile.
void vk_cost(struct vk_seq *s, double flops, double bytes);

// One dispatch. `push` is copied. A kernel missing from the build, or a launch beyond the device's
// limits, makes vk_seq_submit fail with a message that names the kernel.
void vk_dispatch(struct vk_seq *s, const struct vk_kernel *kernel, struct vk_launch launch,
                 const void *push, size_t push_bytes);

void vk_group_begin(struct vk_seq *s);
void vk_group_end(struct vk_seq *s);

// Plain copy between two device ranges (barriers included).
void vk_copy(struct vk_seq *s, vk_addr dst, vk_addr src, uint64_t bytes);

#endif
