"""Ids are those of SentencePiece, tiktoken and Hugging Face's tokenizers, on what `ziptie tokenize --batch` prints."""

import base64
import json
import random
import shutil
import subprocess
from functools import cache
from itertools import accumulate
from pathlib import Path

import pytest
import sentencepiece
import tiktoken
import tokenizers
from conftest import ROOT

ZIPTIE = ROOT / "dist" / "cli.js"
DATA = ROOT.parent / "shared" / "data"
RANKS = ROOT / "node_modules" / "js-tiktoken" / "dist" / "ranks"
GEMMA = ROOT / "node_modules" / "@lenml" / "tokenizer-gemma" / "models" / "tokenizer.json"
LLAMA2 = DATA / "tokenizers" / "llama2-tokenizer.json"

pytestmark = pytest.mark.skipif(
    not DATA.is_dir() or shutil.which("node") is None, reason=f"no data at {DATA}, or no node"
)


@cache
def sentences() -> list[str]:
    """All of UD Chinese GSD."""
    lines = (DATA / "ud-chinese-gsd" / "all-4997.tsv").read_text(encoding="utf-8").splitlines()
    return [line.split("\t", 1)[1] for line in lines[1:]]


@cache
def articles() -> list[str]:
    """Wikipedia in English and Chinese, by the line."""
    return [line for line in (DATA / "wiki" / "wiki_demo.txt").read_text(encoding="utf-8").split("\n") if line]


# Of every kind that has broken a tokenizer.
FRAGMENTS = [
    *"aAzZ09 .,'!?-_/\\\"$€£¥",
    *["the", " quick", "don't", "I'LL", "we've", "'ſ", "ſt", "K", "é", "e\u0301", "n\u0303\u0323", "ﬁ", "½", "①", "㈱", "Ａ１"],
    *["你好", "漢字", "汉字", "。", "，", "「」", "𠮷", "𠀀", "한국어", "ᄒ\u1161ᆫ", "がぎ", "か\u3099", "ｶﾞ", "ไทย", "नमस्ते", "ক্ষ"],
    *["سلام", "עִבְרִית", "\u202eRTL\u202c", "\u200f", "\u200d", "\u200b", "\ufeff", "\u00ad", "\u2060"],
    *["😀", "👩‍👩‍👧‍👦", "🇹🇼", "👍🏽", "❤️", "1️⃣", "𝕏", "🏴\U000e0067\U000e0062\U000e007f"],
    *["\0", "\x01", "\x07", "\x08", "\x1b", "\x7f", "\x80", "\x85", "\x9f", "\r", "\n", "\r\n", "\t", "\v", "\f", "\x1c"],
    *["  ", "   ", "\u3000", "\xa0", "\u2028", "\u2029", "\u1680", "\u2003", "\u202f", "\u180e"],
    *["▁", "▁▁", "<s>", "</s>", "<unk>", "<0x41>", "<|endoftext|>", "<sep>", "[X]", "==", "=" * 9, "...", "123456", "١٢٣"],
    *["\u0300" * 3, "\u0e33", "\u1ab0", "\uffff", "\U0010ffff", "\ufffd", "\ue000", "\U000f0000", "İ", "ß", "Σς", "ǅ", "ʰ"],
]


@cache
def fuzzed() -> list[str]:
    """5,000 strings: fragments in any order, code points at random, and long runs."""
    chance = random.Random(20240402)

    def code_point() -> str:
        # Assigned since long: which class newer ones have depends on the age of each library.
        ranges = [(0, 0x377), (0x384, 0x52F), (0x5D0, 0x5EA), (0x620, 0x64A), (0x905, 0x939), (0x1E00, 0x1EFF), (0x2000, 0x206F), (0x3041, 0x30FF), (0x4E00, 0x9FA5), (0xAC00, 0xD7A3), (0xF900, 0xFA2D), (0xFF01, 0xFFEE), (0x1F300, 0x1F5FF), (0x20000, 0x2A6D6)]
        low, high = chance.choice(ranges)
        return chr(chance.randint(low, high))

    strings = ["", " ", "  ", "\0", *FRAGMENTS]
    while len(strings) < 4950:
        kind = chance.random()
        if kind < 0.7:
            strings.append("".join(chance.choices(FRAGMENTS, k=chance.randint(1, 30))))
        elif kind < 0.95:
            strings.append("".join(code_point() for _ in range(chance.randint(1, 40))))
        else:
            strings.append(chance.choice(FRAGMENTS) * chance.randint(10, 200))
    for _ in range(40):
        part = "".join(chance.choices(FRAGMENTS, k=chance.randint(1, 3)))
        strings.append(part * chance.randint(300, 1500))
    strings += ["".join(chance.choices("ab", k=5000)) for _ in range(10)]
    return strings


@cache
def corpus() -> list[str]:
    return sentences() + articles() + fuzzed()


def tokenize(tokenizer: Path | str, texts: list[str], folder: Path, *options: str) -> list[dict]:
    """Ids and spans as the command prints them."""
    batch = folder / "batch.jsonl"
    batch.write_text("".join(json.dumps(text) + "\n" for text in texts), encoding="ascii")
    command = ["node", str(ZIPTIE), "tokenize", "--tokenizer", str(tokenizer), "--batch", str(batch), *options]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", cwd=ROOT)
    assert done.returncode == 0, done.stderr[-4000:]
    results = [json.loads(line)["results"][0] for line in done.stdout.splitlines()]
    assert len(results) == len(texts)
    return results


def assert_same_ids(texts: list[str], ours: list[dict], theirs) -> None:
    different = []
    for text, got, expected in zip(texts, ours, theirs, strict=True):
        if got["ids"] != list(expected):
            different.append((text[:200], got["ids"][:40], list(expected)[:40]))
    assert not different, f"{len(different)} of {len(texts)}: {different[:3]}"


def assert_on_boundaries(texts: list[str], ours: list[dict]) -> None:
    """Spans lie in the text, do not go back, and never split a surrogate pair."""
    for text, got in zip(texts, ours, strict=True):
        boundaries = {0, *accumulate(2 if character > "\uffff" else 1 for character in text)}
        spans = got["spans"]
        assert len(spans) == 2 * len(got["ids"])
        assert boundaries.issuperset(spans), text
        for start, end in zip(spans[::2], spans[1::2], strict=True):
            assert start <= end, text
        assert spans[::2] == sorted(spans[::2]), text


MODELS = {
    "bpe, byte fallback, as Llama": dict(
        model_type="bpe",
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        split_digits=True,
        allow_whitespace_only_pieces=True,
    ),
    "bpe, nmt_nfkc": dict(model_type="bpe", normalization_rule_name="nmt_nfkc"),
    "bpe, user-defined symbols": dict(
        model_type="bpe",
        byte_fallback=True,
        user_defined_symbols=["<sep>", "[X]", "  ", "你好", "👍🏽", "aA", "ﬁ"],
        control_symbols=["<ctl>"],
        normalization_rule_name="nfkc",
    ),
    "bpe, no dummy prefix": dict(
        model_type="bpe", add_dummy_prefix=False, normalization_rule_name="nfkc_cf", remove_extra_whitespaces=False
    ),
    "unigram, nmt_nfkc": dict(model_type="unigram", normalization_rule_name="nmt_nfkc"),
    "unigram, byte fallback, identity": dict(
        model_type="unigram", byte_fallback=True, normalization_rule_name="identity", split_digits=True
    ),
    "unigram, user-defined symbols": dict(
        model_type="unigram",
        user_defined_symbols=["<sep>", "[X]", "▁▁", "你好", "ab", "ﬁ"],
        normalization_rule_name="nmt_nfkc_cf",
    ),
    "unigram, whitespace as suffix": dict(
        model_type="unigram", treat_whitespace_as_suffix=True, remove_extra_whitespaces=False
    ),
}


@pytest.fixture(scope="module")
def training_text(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("corpus") / "corpus.txt"
    path.write_text("\n".join(sentences()[::4] + articles()[::8]) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("options", MODELS.values(), ids=MODELS.keys())
def test_sentencepiece_ids(options, training_text, tmp_path):
    prefix = tmp_path / "tokenizer"
    sentencepiece.SentencePieceTrainer.train(
        input=str(training_text), model_prefix=str(prefix), vocab_size=5000, minloglevel=2, num_threads=1,
        character_coverage=0.99, max_sentence_length=20000, **options,
    )  # fmt: skip
    processor = sentencepiece.SentencePieceProcessor(model_file=f"{prefix}.model")
    ours = tokenize(f"{prefix}.model", corpus(), tmp_path, "--ordinary")
    assert_same_ids(corpus(), ours, processor.encode(corpus()))
    assert_on_boundaries(corpus(), ours)


def rank_module(name: str) -> dict:
    text = (RANKS / f"{name}.js").read_text(encoding="utf-8")
    return json.loads(text[text.index("{") : text.rindex("}") + 1])


@cache
def ranks_of(name: str) -> dict[bytes, int]:
    ranks = {}
    for line in rank_module(name)["bpe_ranks"].splitlines():
        _, first, *tokens = line.split(" ")
        ranks |= {base64.b64decode(token): int(first) + index for index, token in enumerate(tokens)}
    return ranks


def pattern_of(name: str) -> str:
    """tiktoken's own pattern, without fetching its ranks."""
    import tiktoken_ext.openai_public as public

    real, public.load_tiktoken_bpe = public.load_tiktoken_bpe, lambda *_, **__: {}
    try:
        return getattr(public, name)()["pat_str"]
    finally:
        public.load_tiktoken_bpe = real


@pytest.mark.parametrize("name", ["cl100k_base", "o200k_base", "r50k_base"])
def test_tiktoken_ids(name, tmp_path):
    encoding = tiktoken.Encoding(
        name,
        pat_str=pattern_of(name),
        mergeable_ranks=ranks_of(name),
        special_tokens=rank_module(name)["special_tokens"],
    )
    ours = tokenize(f"js-tiktoken/{name}", corpus(), tmp_path)
    assert_same_ids(corpus(), ours, encoding.encode_batch(corpus(), num_threads=1, allowed_special="all"))
    assert_on_boundaries(corpus(), ours)
    some = fuzzed()[:1000]
    ordinary = tokenize(f"js-tiktoken/{name}", some, tmp_path, "--ordinary")
    assert_same_ids(some, ordinary, encoding.encode_ordinary_batch(some, num_threads=1))


def test_rank_file_ids(tmp_path):
    """The same from a `*.tiktoken` file, and from one that is called `tokenizer.model` as Llama 3's is."""
    lines = b"".join(base64.b64encode(token) + b" %d\n" % rank for token, rank in ranks_of("cl100k_base").items())
    some = fuzzed()[:1000]
    module = [result["ids"] for result in tokenize("js-tiktoken/cl100k_base", some, tmp_path)]
    for name in ("cl100k_base.tiktoken", "tokenizer.model"):
        (tmp_path / name).write_bytes(lines)
        assert_same_ids(some, tokenize(tmp_path / name, some, tmp_path), module)


@pytest.mark.parametrize("file", [LLAMA2, GEMMA], ids=["Llama 2", "Gemma"])
def test_tokenizer_json_ids(file, tmp_path):
    native = tokenizers.Tokenizer.from_file(str(file))
    native.no_truncation()
    native.no_padding()
    for texts, options in ((corpus(), []), (fuzzed()[:500], ["--special-tokens"])):
        ours = tokenize(file, texts, tmp_path, *options)
        theirs = native.encode_batch(texts, add_special_tokens=bool(options))
        assert_same_ids(texts, ours, (encoding.ids for encoding in theirs))
        assert_on_boundaries(texts, ours)


def test_lone_surrogates(tmp_path):
    """Python's libraries refuse them or, as tiktoken, read U+FFFD; so does Ziptie."""
    texts = ["a\ud83db", "\ude00\ud83d", "\ud83d\ud83d\ude00"]
    replaced = [text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace") for text in texts]
    encoding = tiktoken.Encoding(
        "cl100k_base", pat_str=pattern_of("cl100k_base"), mergeable_ranks=ranks_of("cl100k_base"), special_tokens={}
    )
    assert_same_ids(texts, tokenize("js-tiktoken/cl100k_base", texts, tmp_path), encoding.encode_batch(texts))
    native = tokenizers.Tokenizer.from_file(str(LLAMA2))
    with pytest.raises((TypeError, UnicodeEncodeError)):
        native.encode(texts[0])
    theirs = native.encode_batch(replaced, add_special_tokens=False)
    ours = tokenize(LLAMA2, texts, tmp_path)
    assert_same_ids(texts, ours, (encoding.ids for encoding in theirs))
    for got in ours:
        assert max(got["spans"]) <= 3
