"""The native BPE trainer against Hugging Face's: the same vocabulary, ids and merges from the same corpus and settings."""

import json
import signal
import subprocess
from pathlib import Path

import pytest
from conftest import ENGINE, ROOT, run_engine
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

UD = ROOT.parent / "shared" / "data" / "ud-chinese-gsd" / "all-4997.tsv"
MT_BENCH = ROOT.parent / "shared" / "data" / "mt-bench" / "question.jsonl"
HAN = [[0x2E80, 0x2FD5], [0x3005, 0x3007], [0x3400, 0x4DBF], [0x4E00, 0x9FFF], [0xF900, 0xFAD9]]


@pytest.fixture(scope="module")
def lines() -> list[str]:
    """UD Chinese GSD, and the English of MT-bench, so that there are spaces, digits and two scripts."""
    if not UD.is_file() or not MT_BENCH.is_file():
        pytest.skip(f"no corpus at {UD.parent.parent}")
    chinese = [line.split("\t")[1] for line in UD.read_text(encoding="utf-8").splitlines()[1:]]
    turns = [turn for row in MT_BENCH.read_text(encoding="utf-8").splitlines() for turn in json.loads(row)["turns"]]
    return chinese + [line for turn in turns for line in turn.split("\n") if line]


def plan_of(output: Path, dataset: list[dict], pre_tokenizer: dict, trainer: dict, **changes) -> Path:
    plan = {
        "version": 1,
        "dataset": dataset,
        "pre_tokenizer": {"replacement": None, "characters": None, "isolated": [], **pre_tokenizer},
        "trainer": {
            "vocab_size": 6000,
            "min_frequency": 0,
            "special_tokens": [],
            "initial_alphabet": [],
            "limit_alphabet": None,
            "character_coverage": 1,
            "max_token_length": None,
            **trainer,
        },
        "max_word_bytes": 1 << 30,
        "threads": None,
        "output": str(output),
        **changes,
    }
    path = output.with_suffix(".plan.json")
    path.write_text(json.dumps(plan))
    return path


def ours(directory: Path, lines: list[str], pre_tokenizer: dict, trainer: dict) -> tuple[dict, list]:
    corpus = directory / "corpus.txt"
    corpus.write_text("\n".join(lines) + "\n", encoding="utf-8")
    output = directory / "vocabulary.json"
    run_engine("train-tokenizer", str(plan_of(output, [{"path": str(corpus), "format": "text"}], pre_tokenizer, trainer)))
    return read(output)


def read(output: Path) -> tuple[dict, list]:
    result = json.loads(output.read_text(encoding="utf-8"))
    tokens = result["vocab"]
    vocabulary = {token: id for id, token in enumerate(tokens)}
    assert len(vocabulary) == len(tokens)
    return vocabulary, [[tokens[left], tokens[right]] for left, right in result["merges"]]


def reference(lines: list[str], pre_tokenizer, trainer: dict) -> tuple[dict, list]:
    tokenizer = Tokenizer(models.BPE())
    if pre_tokenizer is not None:
        tokenizer.pre_tokenizer = pre_tokenizer
    settings = {"vocab_size": 6000, "min_frequency": 0, "show_progress": False, **trainer}
    tokenizer.train_from_iterator(lines, trainers.BpeTrainer(**settings))
    model = json.loads(tokenizer.to_str())["model"]
    return model["vocab"], [list(merge) for merge in model["merges"]]


METASPACE = {"replacement": "▁", "prepend_scheme": "always"}


@pytest.mark.parametrize(
    "trainer",
    [
        {},
        {"vocab_size": 20000, "min_frequency": 2},
        {"vocab_size": 60000},
        {"min_frequency": 40, "special_tokens": ["<unk>", "<s>", "</s>", "的"]},
        {"max_token_length": 4},
        {"max_token_length": 7, "vocab_size": 12000},
        {"initial_alphabet": ["龘", "€", "a"]},
    ],
    ids=str,
)
def test_words_that_begin_with_a_space_mark(tmp_path, lines, trainer):
    expected = reference(lines, pre_tokenizers.Metaspace(), trainer)
    assert ours(tmp_path, lines, METASPACE, trainer) == expected


def test_whole_lines_as_words(tmp_path, lines):
    assert ours(tmp_path, lines, {}, {}) == reference(lines, None, {})


def test_digits_and_punctuation_stand_alone(tmp_path, lines):
    marks = "0-9，。、「」"
    isolated = [[ord("0"), ord("9")]] + [[ord(mark), ord(mark)] for mark in marks[3:]]
    split = pre_tokenizers.Split(Regex(f"[{marks}]"), "isolated")
    expected = reference(lines, pre_tokenizers.Sequence([pre_tokenizers.Metaspace(), split]), {})
    assert ours(tmp_path, lines, {**METASPACE, "isolated": isolated}, {}) == expected


def test_words_of_one_script_only(tmp_path, lines):
    removed = pre_tokenizers.Split(Regex("[^" + "".join(f"\\x{{{a:X}}}-\\x{{{b:X}}}" for a, b in HAN) + "]"), "removed")
    for trainer in ({"vocab_size": 9000}, {"vocab_size": 30000, "min_frequency": 2}):
        assert ours(tmp_path, lines, {"characters": HAN}, trainer) == reference(lines, removed, trainer)


def test_a_limited_alphabet_keeps_the_most_frequent_characters(tmp_path, lines):
    counts = {}
    for line in lines:
        for character in line:
            counts[character] = counts.get(character, 0) + 1
    ordered = sorted(counts.values(), reverse=True)
    # HF leaves it to chance which of equally frequent characters stays: ask where there is no choice.
    limit = next(n for n in range(400, len(ordered)) if ordered[n - 1] != ordered[n])
    trainer = {"limit_alphabet": limit}
    assert ours(tmp_path, lines, {}, trainer) == reference(lines, None, trainer)


def test_rows_of_jsonl_are_texts_like_lines(tmp_path, lines):
    corpus = tmp_path / "corpus.jsonl"
    rows = [{"meta": {"text": "not this"}, "n": [1, {"text": "nor this"}], "text": line} for line in lines]
    corpus.write_text("".join(json.dumps(row, ensure_ascii=index % 2 == 0) + "\n" for index, row in enumerate(rows)))
    output = tmp_path / "vocabulary.json"
    dataset = [{"path": str(corpus), "format": "jsonl", "field": "text"}]
    run_engine("train-tokenizer", str(plan_of(output, dataset, METASPACE, {})))
    assert read(output) == reference(lines, pre_tokenizers.Metaspace(), {})


def test_the_same_bytes_whatever_the_number_of_threads(tmp_path, lines):
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("\n".join(lines + [line[::-1] for line in lines] + lines), encoding="utf-8")
    written = []
    # So little memory that words are dropped on the way.
    for threads, bytes in ((1, 1 << 20), (2, 1 << 20), (5, 1 << 20), (3, 1 << 30)):
        output = tmp_path / f"{threads}.json"
        changes = {"threads": threads, "max_word_bytes": bytes}
        done = run_engine("train-tokenizer", str(plan_of(output, [{"path": str(corpus), "format": "text"}], {}, {}, **changes)))
        finished = json.loads(done.stdout.splitlines()[-1])
        assert (finished["dropped_words"] > 0) == (bytes == 1 << 20)
        written.append(output.read_bytes())
    assert written[0] == written[1] == written[2] != written[3]


def test_a_cancelled_training_leaves_nothing(tmp_path, lines):
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("\n".join(lines * 20), encoding="utf-8")
    output = tmp_path / "out" / "vocabulary.json"
    output.parent.mkdir()
    plan = plan_of(output, [{"path": str(corpus), "format": "text"}], {}, {"vocab_size": 200000})
    engine = subprocess.Popen([str(ENGINE), "train-tokenizer", str(plan)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert json.loads(engine.stdout.readline())["event"] == "progress"
    engine.send_signal(signal.SIGTERM)
    _, complaint = engine.communicate()
    assert engine.returncode == 1
    assert "cancelled; nothing was written" in complaint
    assert [path.name for path in output.parent.iterdir()] == ["vocabulary.plan.json"]


@pytest.mark.parametrize(
    ("row", "complaint"),
    [('{"text": 3}', 'corpus.jsonl:2: the row has no text "text"'), ('{"text": "a"', "corpus.jsonl:2: "), ("[]", "corpus.jsonl:2: ")],
)
def test_a_broken_row_is_named(tmp_path, row, complaint):
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text('{"text": "one"}\n' + row + "\n")
    output = tmp_path / "vocabulary.json"
    plan = plan_of(output, [{"path": str(corpus), "format": "jsonl", "field": "text"}], {}, {})
    done = subprocess.run([str(ENGINE), "train-tokenizer", str(plan)], capture_output=True, text=True)
    assert done.returncode == 1
    assert complaint in done.stderr
    assert not output.exists()
