"""Llama 2's tokenizer extended by UD Chinese GSD: what Hugging Face's libraries make of it, and what it gains."""

import json
import os
import re
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from conftest import ENGINE, ROOT
from tokenizers import Tokenizer
from transformers import AutoTokenizer

DATA = ROOT.parent / "shared" / "data"
LLAMA = DATA / "tokenizers" / "llama2-tokenizer.json"
UD = DATA / "ud-chinese-gsd" / "all-4997.tsv"
MT_BENCH = DATA / "mt-bench" / "question.jsonl"
PROGRAM = ROOT / "dist" / "cli.js"
# The paper's Table 2: words per token of Bailong and of Llama 2.
PAPER_RATIO = 1.01 / 0.39
HAN = re.compile(r"▁?[\u2e80-\u2fd5\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufad9]+")


class Corpus:
    """90 % of UD to train on, and every tenth sentence to measure."""

    def __init__(self) -> None:
        rows = [line.split("\t") for line in UD.read_text(encoding="utf-8").splitlines()[1:]]
        self.train = [text for index, (_, text) in enumerate(rows) if index % 10 != 9]
        self.held_out = [(int(words), text) for index, (words, text) in enumerate(rows) if index % 10 == 9]


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    if not LLAMA.is_file() or not UD.is_file() or not MT_BENCH.is_file():
        pytest.skip(f"no tokenizer and corpus at {DATA}")
    return Corpus()


def turns() -> list[str]:
    return [turn for row in MT_BENCH.read_text(encoding="utf-8").splitlines() for turn in json.loads(row)["turns"]]


def extend(directory: Path, corpus: Corpus, **keys) -> dict:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "train.txt").write_text("\n".join(corpus.train) + "\n", encoding="utf-8")
    held_out = [f"{words}\t{text}" for words, text in corpus.held_out]
    (directory / "held-out.tsv").write_text("gold_words\ttext\n" + "\n".join(held_out) + "\n", encoding="utf-8")
    (directory / "english.jsonl").write_text("".join(json.dumps({"text": turn}) + "\n" for turn in turns()))
    config = {
        "stage": "vocabulary",
        "tokenizer_name_or_path": str(LLAMA),
        "dataset": "train.txt",
        "eval_dataset": "held-out.tsv",
        "check_dataset": "english.jsonl",
        "scripts": ["Han"],
        **keys,
    }
    path = directory / "han.ziptie.yaml"
    path.write_text(json.dumps(config))
    command = ["node", str(PROGRAM), "extend-vocabulary", str(path), "--format", "json"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "ZIPTIE_ENGINE": str(ENGINE)})
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def extended(tmp_path_factory, corpus) -> dict:
    return extend(tmp_path_factory.mktemp("extended"), corpus)


def test_every_added_token_comes_about_from_its_own_text(extended):
    assert extended["dropped"]["unreachable"] == []
    tokenizer = json.loads((Path(extended["tokenizer"]) / "tokenizer.json").read_text(encoding="utf-8"))
    tokenizer["normalizer"] = None
    tokenizer["post_processor"] = None
    bare = Tokenizer.from_str(json.dumps(tokenizer))
    added = {token: id for token, id in tokenizer["model"]["vocab"].items() if id >= extended["base_size"]}
    assert len(added) == extended["added"] > 15000
    assert {token: bare.encode(token).ids for token in added} == {token: [id] for token, id in added.items()}


def test_no_turn_of_mt_bench_is_tokenised_differently_but_where_it_quotes_chinese(extended):
    assert (extended["check"]["texts"], extended["check"]["changed"]) == (160, 0)
    before, after = Tokenizer.from_file(str(LLAMA)), AutoTokenizer.from_pretrained(extended["tokenizer"])
    changed = [
        turn
        for turn in turns()
        if before.encode(turn, add_special_tokens=False).ids != after(turn, add_special_tokens=False)["input_ids"]
    ]
    # One turn asks for a line of Chinese to be translated: that line is what the new tokens are for.
    assert [HAN.findall(turn) for turn in changed] == [["衣带渐宽终不悔", "为伊消得人憔悴"]]
    quotation = "\u201c" if "\u201c" in changed[0] else '"'
    english, _, _ = changed[0].partition(quotation)
    assert before.encode(english, add_special_tokens=False).ids == after(english, add_special_tokens=False)["input_ids"]


def test_transformers_gives_the_same_ids_as_ziptie(extended, corpus):
    texts = corpus.train + [text for _, text in corpus.held_out] + turns()
    assert len(texts) > 5000
    loaded = AutoTokenizer.from_pretrained(extended["tokenizer"])
    assert len(loaded) == extended["size"]
    assert (loaded.bos_token_id, loaded.eos_token_id, loaded.unk_token_id) == (1, 2, 0)
    # Few runs of the program, each of a text of many lines; a line break is a token that no line has.
    for part in range(0, len(texts), 2000):
        whole = "\n".join(text.replace("\n", " ") for text in texts[part : part + 2000])
        file = Path(extended["run"]) / "texts.txt"
        file.write_text(whole, encoding="utf-8")
        command = ["node", str(PROGRAM), "tokenize", "--tokenizer", extended["tokenizer"], "--file", str(file), "--format", "json"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        [result] = json.loads(done.stdout)["results"]
        assert [token["id"] for token in result["tokens"]] == loaded(whole, add_special_tokens=False)["input_ids"]
    for text in texts[:200]:
        assert loaded.decode(loaded(text, add_special_tokens=False)["input_ids"]) == text


def test_the_zip_tie_map_names_the_tokens_of_the_original(extended):
    base = json.loads(LLAMA.read_text(encoding="utf-8"))
    base["normalizer"] = None
    bare = Tokenizer.from_str(json.dumps(base))
    tokens = json.loads((Path(extended["tokenizer"]) / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    map = json.loads((Path(extended["tokenizer"]) / "zip-tie.json").read_text())
    added = {str(id): token for token, id in tokens.items() if id >= extended["base_size"]}
    assert map.keys() == added.keys()
    for id, parts in map.items():
        ids = bare.encode(added[id], add_special_tokens=False).ids
        counts = Counter(ids)
        assert {part: pytest.approx(weight) for part, weight in parts} == {
            part: pytest.approx(count / len(ids)) for part, count in counts.items()
        }


def test_an_extension_is_the_same_bytes_again(tmp_path, corpus, extended):
    again = extend(tmp_path, corpus)
    for name in ("tokenizer.json", "tokenizer_config.json", "zip-tie.json"):
        assert (Path(again["tokenizer"]) / name).read_bytes() == (Path(extended["tokenizer"]) / name).read_bytes()


def test_efficiency_on_held_out_text_is_near_the_most_that_this_corpus_can_teach(tmp_path, corpus, extended):
    """
    The paper's ratio needs the paper's corpus: 4,498 sentences do not hold enough words. Held-out text cut into as few tokens
    as possible, were every string of the training text that occurs there a token, stays below it.
    """
    greedy = extend(tmp_path, corpus, min_frequency=1, vocab_size=100000, character_coverage=1)
    assert greedy["efficiency"]["words_per_token"]["before"] == pytest.approx(0.389, abs=0.001)
    bounds = {n: best_possible_ratio(corpus, extended, n) for n in (1, 2)}
    assert bounds[2] < bounds[1] < PAPER_RATIO
    assert 0.9 * bounds[2] < extended["efficiency"]["ratio"] < bounds[2]
    assert 0.9 * bounds[1] < greedy["efficiency"]["ratio"] < bounds[1]


def best_possible_ratio(corpus: Corpus, extended: dict, occurrences: int) -> float:
    """Tokens of the base over the fewest tokens of held-out text, with any string of Han that occurs so often in training."""
    longest = 16
    counts = Counter()
    for text in corpus.train:
        for run in HAN.findall("▁" + text):
            for start in range(len(run)):
                for end in range(start + 1, min(start + longest, len(run)) + 1):
                    counts[run[start:end]] += 1
    known = {string for string, count in counts.items() if count >= occurrences}

    def fewest(run: str) -> int:
        tokens = [0] * (len(run) + 1)
        for end in range(1, len(run) + 1):
            starts = [s for s in range(max(0, end - longest), end) if end - s == 1 or run[s:end] in known]
            tokens[end] = 1 + min(tokens[start] for start in starts)
        return tokens[-1]

    tokenizer = Tokenizer.from_file(str(Path(extended["tokenizer"]) / "tokenizer.json"))
    best = 0
    for _, text in corpus.held_out:
        run = ""
        for token in [*tokenizer.encode(text, add_special_tokens=False).tokens, ""]:
            if HAN.fullmatch(token):
                run += token
                continue
            best += (fewest(run) if run else 0) + (token != "")
            run = ""
    return extended["efficiency"]["tokens_before"] / best


def test_a_cancelled_extension_leaves_nothing(tmp_path, corpus):
    (tmp_path / "train.txt").write_text("\n".join(corpus.train * 40), encoding="utf-8")
    config = {"stage": "vocabulary", "tokenizer_name_or_path": str(LLAMA), "dataset": "train.txt", "scripts": ["Han"]}
    (tmp_path / "han.ziptie.yaml").write_text(json.dumps(config))
    command = ["node", str(PROGRAM), "train", str(tmp_path / "han.ziptie.yaml")]
    environment = {**os.environ, "ZIPTIE_ENGINE": str(ENGINE)}
    program = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    assert "Reading the corpus" in program.stderr.readline()
    program.terminate()
    _, said = program.communicate()
    assert program.returncode == 1
    assert "Cancelled; no run was started." in said
    assert list((tmp_path / "runs").iterdir()) == []
