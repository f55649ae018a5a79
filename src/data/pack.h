// Packing: whole rows laid into one buffer of T token slots.
//
// A row is laid out as prompt, chosen, rejected. Both completions attend to the shared prompt and
// to themselves, neither sees the other, so the prompt is computed once. The last token of a
// completion predicts nothing and gets no slot. If the prompt is empty, each completion stands
// alone and its first token is not scored; a completion of that one token (a mismatched row may be
// so) keeps its slot, so that every row has one.
//
// Rows with the same prompt do not share it: in shuffled steps they hardly ever meet (of HH's 1,900
// training prompts 1,898 are distinct), and rows could no longer stand in the order they come in.
//
// Glossary: T token slots, S scored positions, R sequences (completions).
#ifndef TRDPO_DATA_PACK_H
#define TRDPO_DATA_PACK_H

#include "data/dataset.h"

#include <stdbool.h>
#include <stdint.h>

// Slots [prefix_begin, prefix_end) and [own_begin, own_end) that a token attends to; own_end is its
// own slot + 1. Same layout as `struct token_span` in shaders/args.h.
struct data_span {
    uint32_t prefix_begin, prefix_end, own_begin, own_end;
};

// Capacity is fixed at creation; arrays hold `capacity` entries and are used up to the counts.
struct data_pack {
    uint32_t token_capacity, scored_capacity, sequence_capacity;
    uint32_t tokens, scored, sequences, rows, unique; // counts in use: T, S, R, rows, unique ids

    uint32_t *ids;           // [T] token id
    uint32_t *positions;     // [T] position for RoPE, from 0 at the row's start; both completions
                             //     continue after the prompt
    struct data_span *spans; // [T]
    uint32_t *key_end;       // [T] exactly the tokens [t, key_end[t]) attend to token t

    uint32_t *scored_slot;     // [S] token slot whose output predicts the target
    uint32_t *scored_target;   // [S] id predicted
    uint32_t *scored_sequence; // [S] sequence it belongs to
    uint32_t
        *sequence_first; // [R + 1] scored range of each sequence; a pair is sequences 2i, 2i + 1
    uint32_t *row_index; // [rows] index into data_set.rows
    uint32_t *labels;    // [R] data_row.label of the sequence's row

    // Scatter without atomics: scored positions by slot, and slots by id.
    uint32_t *slot_scored_first; // [T + 1] range in slot_scored of each slot
    uint32_t *slot_scored;       // [S] scored positions, ordered by slot, then by position
    uint32_t *unique_ids;        // [unique] distinct ids, ascending
    uint32_t *unique_first;      // [unique + 1] range in unique_slots of each
    uint32_t *unique_slots;      // [T] slots ordered by id, then by slot

    bool score_prompt;  // from data_pack_params
    uint32_t row_limit; // rows at most
    uint64_t *sort_key; // [T] scratch of data_pack_close()
};

// `max_rows`: rows a pack may hold at most (0: as many as fit, which is T). Release with
// data_pack_finish.
struct data_pack_params {
    uint32_t tokens;   // T
    uint32_t max_rows; // sizes scored and sequence capacity
    bool
        score_prompt; // SFT on whole texts: prompt tokens are scored too (in sequence 0 of the row)
};
void data_pack_init(struct data_pack *pack, const struct data_pack_params *params);
void data_pack_finish(struct data_pack *pack);

// Slots that a row takes: prompt + (chosen - 1) + (rejected - 1), at least one for each completion
// if the prompt is empty.
uint32_t data_row_slots(const struct data_row *row);

// Empties; adds a row if it fits (false, without an error, if it does not); closes the pack (builds
// the scatter lists) before use. The rows of a pack are all pairs or all single completions.
void data_pack_clear(struct data_pack *pack);
bool data_pack_add(struct data_pack *pack, const struct data_set *set, uint32_t row_index);
void data_pack_close(struct data_pack *pack);

// Splits `count` rows (indices in `order`) into packs, keeping their order within a pack and
// putting each into the first pack that has room (first fit). Writes the pack number of each to
// `pack_of` and returns the number of packs; a row with more slots than `tokens` is a programmer's
// error.
uint32_t data_pack_plan(const struct data_set *set, const uint32_t *order, size_t count,
                        uint32_t tokens, uint32_t *pack_of);

#endif
