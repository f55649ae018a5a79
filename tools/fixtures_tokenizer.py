#!/usr/bin/env python3
"""Makes tests/fixtures/tokenizers.jsonl.gz: what the Hugging Face library makes of tokenizer variants.

    python tools/fixtures_tokenizer.py OUTPUT_FILE [--texts N] [--seed N] [--any-version]

Needs `tokenizers` only. Each line is one variant: its name, `base` (a folder of tests/fixtures whose
tokenizer.json it changes, or null), `change` (top-level members of tokenizer.json to put in; "model"
is merged member by member), and cases: text, ids, ids_special, decoded, decoded_skip (the decode of
ids_special without special tokens); the last two may be absent. Seeded: run twice, it writes the same
bytes. With a large --texts it is a random trial of the C code against the library (which differs in a
character or two that its own older Unicode tables lack):

    TRDPO_TOKENIZER_VARIANTS=FILE build/tests/hf/test_tokenizer_variants
"""

import argparse
import gzip
import json
import os
import random
import sys
import unicodedata

os.environ["RUST_BACKTRACE"] = "0"
import tokenizers  # noqa: E402

VERSION = "0.23.3"
HERE = os.path.dirname(os.path.abspath(__file__))
FIXTURES = os.path.join(HERE, "..", "tests", "fixtures")

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace("{1,3}", "")
O200K = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
         r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
         r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
DEEPSEEK = (r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+|"
            r" ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
PATTERNS = {
    "word": r"\w+|[^\w\s]+", "not-word": r"\W", "han": r"\p{Han}+|\p{^L}", "space": r"\s", "not-space": r"\S+",
    "anchors": r"^a|b$|\Aq|d\Z", "possessive": r"a++b?|[^a]++a", "lazy": r"a+?b|.{1,2}?", "empty": r"x*",
    "look": r"(?<=a)b|a(?=b)|(?<!a)c|\d(?!\d)", "caseless": r"(?i)straße|s|k|é|ǆ", "points": r"\u00e9|\x{4e2d}|\x41|\v|\t",
    "set": r"[\]\-\w^]+|[]x]|[^]y]", "braces": r"a{2}|b{1,}|c{0,2}d|{|}|x{y", "caps": r"\p{Lu}|\P{L}|[\p{Greek}a-c]+",
    "atomic": r"(?>a|ab)c|(a)(b)?", "digits": r"\d+|\D", "llama3": LLAMA3, "o200k": O200K, "deepseek": DEEPSEEK,
}
BEHAVIORS = ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"]


def added(content, id, **flags):
    token = {"id": id, "content": content, "single_word": False, "lstrip": False, "rstrip": False,
             "normalized": False, "special": False}
    token.update(flags)
    return token


def byte_level(prefix=False, regex=True):
    return {"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": True, "use_regex": regex}


def split(pattern, behavior="Isolated", invert=False, kind="Regex"):
    return {"type": "Split", "pattern": {kind: pattern}, "behavior": behavior, "invert": invert}


def sequence(key, *items):
    return {"type": "Sequence", key: list(items)}


def pre(*items):
    return {"pre_tokenizer": sequence("pretokenizers", *items)}


def template(single, specials):
    pieces = [{"Sequence": {"id": "A", "type_id": 0}} if p == "A" else {"SpecialToken": {"id": p, "type_id": 0}}
              for p in single]
    return {"type": "TemplateProcessing", "single": pieces, "pair": pieces + [{"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {n: {"id": n, "ids": i, "tokens": [n] * len(i)} for n, i in specials.items()}}


END = added("<|end|>", 0, special=True)
PAD = added("<|pad|>", 1, special=True)


def flag_variants():
    for name, flags in {
        "plain": {}, "special": {"special": True}, "lstrip": {"lstrip": True}, "rstrip": {"rstrip": True},
        "strip": {"lstrip": True, "rstrip": True}, "single": {"single_word": True},
        "single-strip": {"single_word": True, "lstrip": True, "rstrip": True}, "normalized": {"normalized": True},
        "normalized-special": {"normalized": True, "special": True},
    }.items():
        tokens = [END, PAD] + [added(c, 288 + i, **flags) for i, c in enumerate(
            ["<a>", "<a>b", " the", "ing", "éa", "ÖA", "<<", "<a", "\n", " q", "x  y"])]
        yield "added-" + name, {"added_tokens": tokens}
        yield "added-%s-lower" % name, {"added_tokens": tokens, "normalizer": {"type": "Lowercase"}}
    mixed = [END, PAD, added("<a>", 288, lstrip=True, normalized=True), added(" b", 289, rstrip=True),
             added("ab", 290, single_word=True), added("Ax", 291, normalized=True, single_word=True),
             added("Cd", 292, normalized=True, special=True, rstrip=True)]
    yield "added-mixed", {"added_tokens": mixed, "normalizer": sequence(
        "normalizers", {"type": "NFD"}, {"type": "Lowercase"}, {"type": "StripAccents"}), **pre(byte_level(True))}


def normalizer_variants():
    for form in ["NFC", "NFD", "NFKC", "NFKD", "Lowercase"]:
        yield "norm-" + form, {"normalizer": {"type": form}}
    yield "norm-accents", {"normalizer": sequence("normalizers", {"type": "NFD"}, {"type": "StripAccents"})}
    yield "norm-strip", {"normalizer": {"type": "Strip", "strip_left": True, "strip_right": False},
                         "added_tokens": [END, PAD, added("<a>", 288)]}
    yield "norm-strip-right", {"normalizer": {"type": "Strip", "strip_left": False, "strip_right": True},
                               "added_tokens": [END, PAD, added("<a>", 288)]}
    yield "norm-prepend", {"normalizer": {"type": "Prepend", "prepend": "é_"},
                           "added_tokens": [END, PAD, added("<a>", 288)]}
    yield "norm-replace", {"normalizer": sequence(
        "normalizers", {"type": "Replace", "pattern": {"String": " "}, "content": "__"},
        {"type": "Replace", "pattern": {"Regex": r"\s+|a+"}, "content": "<é>"})}


def split_variants():
    yield "pre-none", {"pre_tokenizer": None}
    for prefix in (False, True):
        for regex in (False, True):
            yield "bytes-%d%d" % (prefix, regex), {"pre_tokenizer": byte_level(prefix, regex),
                                                   "added_tokens": [END, PAD, added("<a>", 288)]}
    for individual in (False, True):
        yield "digits-%d" % individual, pre({"type": "Digits", "individual_digits": individual}, byte_level(True))
    yield "bytes-first", pre(byte_level(), {"type": "Digits", "individual_digits": True}, split("Ġ", kind="String"))
    yield "bytes-twice", pre(byte_level(), byte_level(True))
    for behavior in BEHAVIORS:
        yield "punct-" + behavior, pre({"type": "Punctuation", "behavior": behavior}, byte_level(regex=False))
        for invert in (False, True):
            for kind, pattern in {"Regex": r"\s+|a", "String": "ab"}.items():
                yield "split-%s-%d-%s" % (behavior, invert, kind), pre(
                    split(pattern, behavior, invert, kind), byte_level(regex=False))
    yield "white", pre({"type": "WhitespaceSplit"}, byte_level(regex=False))
    for name, pattern in PATTERNS.items():
        yield "pattern-" + name, pre(split(pattern), byte_level(regex=False))
        yield "pattern-%s-removed" % name, pre(split(pattern, "Removed"), byte_level(regex=False))
    yield "qwen2", {**pre(split(QWEN2), byte_level(regex=False)), "normalizer": {"type": "NFC"}}


def other_variants():
    ends = {"<|end|>": [0], "<|pad|>": [1, 1]}
    yield "post-template", {"post_processor": template(["<|pad|>", "<|end|>", "A", "<|end|>"], ends)}
    yield "post-sequence", {"post_processor": sequence(
        "processors", byte_level(), template(["<|end|>", "A", "<|pad|>"], ends), byte_level(True))}
    yield "post-roberta", {"post_processor": {"type": "RobertaProcessing", "sep": ["<|end|>", 0], "cls": ["<|pad|>", 1],
                                              "trim_offsets": True, "add_prefix_space": False}}
    yield "post-bert", {"post_processor": {"type": "BertProcessing", "sep": ["<|end|>", 0], "cls": ["<|pad|>", 1]}}
    yield "post-none", {"post_processor": None}
    yield "decoder-none", {"decoder": None}
    yield "model-ignore", {"model": {"ignore_merges": True}}
    yield "model-ignore-raw", {"model": {"ignore_merges": True}, "pre_tokenizer": None}


def character_model(merges_as_pairs, **settings):
    """A vocabulary of characters with ▁ for the space, as sentencepiece models have it."""
    tokens = ["<unk>", "<s>", "</s>"] + ["<0x%02X>" % b for b in range(256)]
    tokens += ["▁"] + list("abcdefghijklmnopqrstuvwxyzABé中.'1")
    merges = [("▁", "t"), ("h", "e"), ("▁t", "he"), ("a", "b"), ("i", "n"), ("in", "g"), ("▁", "▁"), ("▁▁", "▁▁"),
              ("a", "a"), ("aa", "a"), ("aa", "aa"), ("b", "b"), ("ab", "ab")]
    for a, b in merges:
        if a + b not in tokens:
            tokens.append(a + b)
    model = {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None,
             "end_of_word_suffix": None, "fuse_unk": True, "byte_fallback": True, "ignore_merges": False,
             "vocab": {t: i for i, t in enumerate(tokens)},
             "merges": [list(m) for m in merges] if merges_as_pairs else [" ".join(m) for m in merges]}
    model.update(settings)
    return model


def character_variants():
    specials = [added("<unk>", 0, special=True), added("<s>", 1, special=True), added("</s>", 2, special=True)]
    llama2 = {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": specials,
        "normalizer": sequence("normalizers", {"type": "Prepend", "prepend": "▁"},
                               {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}),
        "pre_tokenizer": None, "post_processor": template(["<s>", "A"], {"<s>": [1]}),
        "decoder": sequence("decoders", {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
                            {"type": "ByteFallback"}, {"type": "Fuse"},
                            {"type": "Strip", "content": " ", "start": 1, "stop": 0}),
        "model": character_model(False),
    }
    no_bytes = character_model(True)
    no_bytes["vocab"] = {t: i for i, t in enumerate(t for t in no_bytes["vocab"] if not t.startswith("<0x8"))}
    no_bytes["byte_fallback"] = True
    yield "llama2", llama2
    yield "llama2-pairs", {**llama2, "model": character_model(True)}
    yield "unk-fused", {**llama2, "model": character_model(True, byte_fallback=False)}
    yield "unk-each", {**llama2, "model": character_model(True, byte_fallback=False, fuse_unk=False)}
    yield "unk-none", {**llama2, "model": character_model(True, byte_fallback=False, unk_token=None)}
    yield "unk-and-bytes", {**llama2, "model": no_bytes}
    yield "unk-and-bytes-each", {**llama2, "model": {**no_bytes, "fuse_unk": False}}
    yield "char-ignore", {**llama2, "model": character_model(True, ignore_merges=True)}
    yield "strip-both", {**llama2, "decoder": sequence(
        "decoders", {"type": "Strip", "content": "a", "start": 2, "stop": 1}, {"type": "Fuse"})}
    for scheme in ("always", "first", "never"):
        for cut in (True, False):
            meta = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": cut}
            yield "metaspace-%s-%d" % (scheme, cut), {**llama2, "normalizer": None, "pre_tokenizer": meta, "decoder": meta}


def variants():
    for group in (flag_variants, normalizer_variants, split_variants, other_variants):
        for name, change in group():
            yield name, "tiny-gqa", change
    for name, change in character_variants():
        yield name, None, change


FRAGMENTS = [
    "<a>", "<a>b", " the", "the", "ing", "é", "É", "éa", "ÖA", "öa", "Cd", "cd", "e\u0301", "<<", "<a", "a",
    "b", "ab", "Ab", "AB", "Ax", "ax", "aa", "aaab", "abab", " ", "  ", "    ", "\n", "\r\n", "\t",
    "\u00a0", "\u0085", "\u180e", "\u200b", "\u3000", "\u2028", "q", "x  y", "x", "{", "}", "]", "-", "^",
    "c", "d", "1", "23", "456", "½", "²", "Ⅷ", "ⓐ", "٢", "'s", "'S", "'ſ", "'LL", "'re", "K", "\u212a", "ß", "ss",
    "Straße", "ǆ", "ǅ", "İ", "ı", "Σ", "ς", "ﬁ", "Å", "한", "\u1112\u1161\u11ab", "中", "漢", "々", "〆", "·",
    "、", "_", "‿", "🚀", "👩\u200d🔬", "<|end|>", "<|pad|>", "<s>", "</s>", "<unk>", "<0x0A>", "▁", "Ġ", "Ċ",
    ".", "!?", "$", "+", "`", "\\", "/", "\u0301", "\u0327", "A\u030a", "α", "Ж", "א", "ا", "ก", "\x0b",
    "\x1f", "\x7f", "\u200c", "x{y",
]


# Two normalised tokens must not become the same text: which of them the library then finds differs
# from run to run. What it decodes such a token to (its content, or in version 0.23 its normalised
# content) is left out.
def changes_tokens(change):
    return bool(change.get("normalizer")) and any(t["normalized"] for t in change.get("added_tokens", []))


def make_text(rng):
    parts = []
    for _ in range(rng.choice([0, 1, 2, 3, 5, 8, 13])):
        if rng.random() < 0.9:
            parts.append(rng.choice(FRAGMENTS))
        else:
            c = chr(rng.choice([rng.randrange(1, 0x3000), rng.randrange(1, 0x20000)]))
            if unicodedata.category(c) not in ("Cs", "Cn"):
                parts.append(c)
    return "".join(parts)


def patched(base, change):
    tree = json.load(open(os.path.join(FIXTURES, base, "tokenizer.json"))) if base else {}
    for key, value in change.items():
        if key == "model" and base:
            tree["model"].update(value)
        else:
            tree[key] = value
    return tree


def make_line(name, base, change, texts, rng):
    tokenizer = tokenizers.Tokenizer.from_str(json.dumps(patched(base, change)))
    cases = []
    for attempt in range(20 * texts):
        if len(cases) == texts:
            break
        text = make_text(rng) if attempt > 1 else "a".join(FRAGMENTS) if attempt else " <a> AB<a>b the\n q\tab"
        try:
            ids = tokenizer.encode(text, add_special_tokens=False).ids
            special = tokenizer.encode(text).ids
            decoded = tokenizer.decode(ids, skip_special_tokens=False)
            decoded_skip = tokenizer.decode(special, skip_special_tokens=True)
        except BaseException as e:  # the library's own faults, as where a token begins in what another stripped
            if type(e).__name__ != "PanicException":
                raise
            continue
        case = {"text": text, "ids": ids, "ids_special": special}
        if not changes_tokens(change):
            case.update(decoded=decoded, decoded_skip=decoded_skip)
        cases.append(case)
    return {"name": name, "base": base, "change": change, "cases": cases}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("output")
    parser.add_argument("--texts", type=int, default=6)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--any-version", action="store_true")
    args = parser.parse_args()
    if tokenizers.__version__ != VERSION and not args.any_version:
        sys.exit("tokenizers is %s, the fixture is of %s (--any-version)" % (tokenizers.__version__, VERSION))
    rng = random.Random(args.seed)
    lines = [json.dumps(make_line(name, base, change, args.texts, rng), ensure_ascii=False) + "\n"
             for name, base, change in variants()]
    with open(args.output, "wb") as out:
        out.write(gzip.compress("".join(lines).encode(), 9, mtime=0))


if __name__ == "__main__":
    main()
