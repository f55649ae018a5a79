// Loss of pair p, the sequences w = 2p and l = 2p + 1: the sum of the settings' terms times their
// weights, each one short function of sums over the completions (pref_*.glsl). dlogp = loss_scale times
// the derivative of the pair's loss; rewards; sums for the metrics.
// Assigns. Grid: groups(pairs), one workgroup a pair.
#version 460
#include "common.glsl"
#include "pref_batch.glsl"
#include "pref_free.glsl"
#include "pref_margin.glsl"
#include "pref_ratio.glsl"
#include "pref_sums.glsl"

ARGS(pref_loss_args);

// Minus the mean log-prob over the chosen tokens of the batch, as this pair's share of it.
pref_term next_token_term(pref_pair pair, float weight)
{
    float share = -float(args.counts.v[0].batch_rows) / max(float(args.counts.v[0].batch_tokens), 1.0);
    return pref_term(weight * share * pair.all_w, 0.0, 0.0, weight * share);
}

// A term times WPO's weight.
pref_term term_of(uint type, pref_pair pair, pref_batch batch, float weight)
{
    pref_settings_ref settings = args.settings;
    if (is_margin_loss(type))
        return scaled(margin_term(type, pair, settings), weight);
    if (is_ratio_loss(type))
        return scaled(ratio_term(type, pair, settings), weight);
    if (type == PREF_AOT)
        return aot_term(batch, weight, settings);
    if (type == PREF_AOT_UNPAIRED)
        return aot_unpaired_term(batch, weight, settings);
    if (type == PREF_KTO_PAIR)
        return scaled(kto_pair_term(batch, pair, settings), weight);
    if (type == PREF_SIMPO)
        return scaled(simpo_term(pair, settings), weight);
    pref_term t = next_token_term(pair, (settings.v[0].flags & PREF_WEIGHTED) != 0u ? batch_weight(batch) : 1.0);
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

void main()
{
    uint p = group_index(), scored = args.scored, flags = args.settings.v[0].flags;
    if (p >= min(args.counts.v[0].sequences / 2u, args.max_pairs))
        return;
    f32 logp = args.logp, ref_logp = args.ref_logp;
    scored_range w = sequence_range(args.sequence_first, 2u * p, scored);
    scored_range l = sequence_range(args.sequence_first, 2u * p + 1u, scored);
    float tail = args.settings.v[0].ld_alpha;
    pref_completion cw = completion(w, l, tail), cl = completion(l, w, tail);
    bool reference = given(ref_logp) && (flags & PREF_REFERENCE_FREE) == 0u;

    pair_metrics m;
    m.logp_chosen = sequence_sum(logp, w);
    m.logp_rejected = sequence_sum(logp, l);
    m.ref_logp_chosen = reference ? sequence_sum(ref_logp, w) : 0.0;
    m.ref_logp_rejected = reference ? sequence_sum(ref_logp, l) : 0.0;
    m.entropy = sequence_sum(args.entropy, w) + sequence_sum(args.entropy, l);
    m.tokens = scored_tokens(w) + scored_tokens(l);
    m.accurate = sequence_sum(args.is_argmax, w); // of chosen alone, as TRL counts it
    m.chosen_tokens = scored_tokens(w);

    pref_pair pair;
    pair.logp_w = pref_sum(logp, cw);
    pair.logp_l = pref_sum(logp, cl);
    pair.u_w = reference ? pref_sum_difference(logp, ref_logp, cw) : pair.logp_w;
    pair.u_l = reference ? pref_sum_difference(logp, ref_logp, cl) : pair.logp_l;
    pair.all_w = m.logp_chosen;
    pair.n_w = max(scored_tokens(w), 1.0);
    pair.n_l = max(scored_tokens(l), 1.0);
    float weight = (flags & PREF_WEIGHTED) != 0u ? pref_weight(logp, args.collision, w, l) : 1.0;

    pref_term total = total_of(pair, weight);
    m.loss = total.loss;
    m.reward_chosen = reward(pair.u_w, pair.n_w);
    m.reward_rejected = reward(pair.u_l, pair.n_l);
    store_slopes(cw, total.dw, total.token);
    store_slopes(cl, total.dl, 0.0);
    uint place = args.counts.v[0].first_row + p;
    if (local_index == 0u && place < args.pairs_out_count)
        args.pairs_out.v[place] = m;
}
