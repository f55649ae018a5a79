// Loss of pair p, the sequences w = 2p and l = 2p + 1: the sum of the settings' terms times their
// weights, each one short function of sums over the completions (pref_*.glsl). dlogp = loss_scale times
// the derivative of the pair's loss; rewards; sums for the metrics.
// Assigns. Grid: groups(pairs), one workgroup a pair.
#version 460
#include "common.glsl"
#include "pref_batch.glsl"
#include "pref_margin.glsl"
#include "pref_odds.glsl"
#include "pref_ratio.glsl"
#include "pref_sums.glsl"

ARGS(pref_loss_args);
layout(constant_id = 1) const bool BATCH = false;

// Minus the mean log-prob over the chosen tokens of the batch, as this pair's share of it.
pref_term next_token_term(pref_pair pair, float weight)
{
    float share = -float(args.counts.v[0].batch_rows) / max(float(args.counts.v[0].batch_tokens), 1.0);
    return pref_term(weight * share * pair.all_w, 0.0, 0.0, weight * share);
}

// A term times WPO's weight. NaN where a batch-wide loss is given no table.
pref_term term_of(uint type, pref_pair pair, pref_batch batch, float weight)
{
    pref_settings_ref settings = args.settings;
    if (is_margin_loss(type))
        return scaled(margin_term(type, pair, settings), weight);
    if (is_ratio_loss(type))
        return scaled(ratio_term(type, pair, settings), weight);
    if (BATCH && type == PREF_AOT)
        return aot_term(batch, weight, settings);
    if (BATCH && type == PREF_AOT_UNPAIRED)
        return aot_unpaired_term(batch, weight, settings);
    if (BATCH && type == PREF_KTO_PAIR)
        return scaled(kto_pair_term(batch, pair, settings), weight);
    bool weighted = (settings.v[0].flags & PREF_WEIGHTED) != 0u;
    if (type != PREF_SFT && type != PREF_ORPO || weighted && !BATCH) // which has no batch to look at
        return pref_term(NOT_A_NUMBER, NOT_A_NUMBER, NOT_A_NUMBER, NOT_A_NUMBER);
    pref_term t = next_token_term(pair, BATCH && weighted ? batch_weight(batch) : 1.0);
    if (type == PREF_ORPO)
        t = sum(t, scaled(odds_ratio_term(pair, settings.v[0].beta), weight));
    return t;
}

pref_term total_of(pref_pair pair, float weight)
{
    uint first = args.counts.v[0].batch_first, end = first + args.counts.v[0].batch_rows;
    pref_batch batch = pref_batch(args.batch, first, min(end, args.batch_count),
                                  args.counts.v[0].first_row + group_index());
    batch.begin = min(batch.begin, batch.end);
    pref_term total = pref_term(0.0, 0.0, 0.0, 0.0);
    uint terms = min(args.settings.v[0].terms, PREF_MAX_TERMS);
    for (uint i = 0u; i < terms; i++) {
        pref_term t = term_of(args.settings.v[0].type[i], pair, batch, weight);
        total = sum(total, scaled(t, args.settings.v[0].weight[i]));
    }
    // Said aloud: a comparison somewhere above may have dropped a NaN.
    if (is_nonfinite(pair.u_w) || is_nonfinite(pair.u_l) || is_nonfinite(total.loss))
        total = pref_term(NOT_A_NUMBER, NOT_A_NUMBER, NOT_A_NUMBER, NOT_A_NUMBER);
    return total;
}

float reward(float u, float length)
{
    float of = (args.settings.v[0].flags & PREF_MEAN_REWARDS) != 0u ? u / length : u;
    return args.settings.v[0].beta * alphapo_score(of, args.settings.v[0].alpha).value;
}

void store_slopes(pref_completion c, float slope, float token)
{
    f32 dlogp = args.dlogp;
    float scale = args.step.v[0].loss_scale;
    for (uint i = c.begin + local_index; i < c.end; i += local_size)
        dlogp.v[i] = scale * (position_weight(c, i) * slope + token);
}

// (entropy, right predictions) of a completion.
vec2 predictions(pref_completion c)
{
    vec2 sum = vec2(0.0);
    for (uint i = c.begin + local_index; i < c.end; i += local_size)
        sum += vec2(args.entropy.v[i], args.is_argmax.v[i]);
    return workgroup_sum(sum);
}

void main()
{
    uint p = group_index();
    if (p >= min(args.counts.v[0].sequences / 2u, args.max_pairs))
        return;
    scored_range w = sequence_range(args.sequence_first, 2u * p, args.scored);
    scored_range l = sequence_range(args.sequence_first, 2u * p + 1u, args.scored);
    f32 ref_logp = used_reference(args.ref_logp, args.settings);
    f32 collision = used_collision(args.collision, args.settings);
    float tail = args.settings.v[0].ld_alpha;
    pref_completion cw = completion(w, l, tail), cl = completion(l, w, tail);
    pref_sums sw = sums_of(args.logp, ref_logp, collision, cw);
    pref_sums sl = sums_of(args.logp, ref_logp, collision, cl);
    vec2 right_w = predictions(cw), right_l = predictions(cl);

    pref_pair pair = pref_pair(sw.ratio, sl.ratio, sw.score, sl.score, sw.logp, max(scored_tokens(cw), 1.0),
                               max(scored_tokens(cl), 1.0));
    pref_term total = total_of(pair, sw.weight * sl.weight);
    store_slopes(cw, total.dw, total.token);
    store_slopes(cl, total.dl, 0.0);

    pair_metrics m;
    m.loss = total.loss;
    m.reward_chosen = reward(pair.u_w, pair.n_w);
    m.reward_rejected = reward(pair.u_l, pair.n_l);
    m.logp_chosen = sw.logp;
    m.logp_rejected = sl.logp;
    m.ref_logp_chosen = sw.ref_logp;
    m.ref_logp_rejected = sl.ref_logp;
    m.entropy = right_w.x + right_l.x;
    m.tokens = scored_tokens(cw) + scored_tokens(cl);
    m.accurate = right_w.y; // of chosen alone, as TRL counts it
    m.chosen_tokens = scored_tokens(cw);
    uint place = args.counts.v[0].first_row + p;
    if (local_index == 0u && place < args.pairs_out_count)
        args.pairs_out.v[place] = m;
}
