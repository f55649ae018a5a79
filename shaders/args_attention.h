// Arguments of the attention kernels. Included by args.h.
//
// Letters as in ops/attention.h. Head h of query t is item (t, h); the heads of a group lie side by
// side, so that the G = heads / kv_heads items of a query that share keys are neighbours. A
// dispatch covers the tiles from `first` on; long batches take several.
#ifndef TRDPO_ARGS_ATTENTION_H
#define TRDPO_ARGS_ATTENTION_H

// Of the kernels that work through shared memory: invocations, rows that a workgroup owns, and
// bytes of shared memory.
#define ATTENTION_TILE_LOCAL 128
#define ATTENTION_TILE_OWN 64
#define ATTENTION_TILE_BYTES 16896

struct attention_fwd_args {
    ADDRESS(f32) o;
    ADDRESS(f32) lse;
    ADDRESS(f32) q;
    ADDRESS(f32) k;
    ADDRESS(f32) v;
    ADDRESS(token_span_ref) spans;
    ADDRESS(u32) live;
    uint rows, heads, kv_heads, q_stride, kv_stride, o_stride, first;
    float scale;
};

struct attention_bwd_query_args {
    ADDRESS(f32) dq;
    ADDRESS(f32) delta; // written here, read by the pass by key
    ADDRESS(f32) dout;
    ADDRESS(f32) o;
    ADDRESS(f32) lse;
    ADDRESS(f32) q;
    ADDRESS(f32) k;
    ADDRESS(f32) v;
    ADDRESS(token_span_ref) spans;
    ADDRESS(u32) live;
    uint rows, heads, kv_heads, q_stride, kv_stride, o_stride, first;
    float scale;
};

struct attention_bwd_key_args {
    ADDRESS(f32) dk;
    ADDRESS(f32) dv;
    ADDRESS(f32) dout;
    ADDRESS(f32) lse;
    ADDRESS(f32) delta;
    ADDRESS(f32) q;
    ADDRESS(f32) k;
    ADDRESS(f32) v;
    ADDRESS(u32) key_end;
    ADDRESS(u32) live;
    uint rows, heads, kv_heads, q_stride, kv_stride, o_stride, first;
    float scale;
};

#endif
