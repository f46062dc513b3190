"""Generation and scoring by the engine against transformers."""

import json
import subprocess

import numpy
import pytest
import torch
from conftest import ENGINE, run_engine, write_plan, write_shard
from models import random_llama
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM


def lines(done) -> dict:
    return {answer["id"]: answer for answer in map(json.loads, done.stdout.splitlines())}


def write_lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def prompts_of(vocabulary, seed, lengths):
    random = numpy.random.default_rng(seed)
    return [random.integers(3, vocabulary, length).tolist() for length in lengths]


def greedy(model, prompt, count):
    with torch.no_grad():
        ids = model.generate(
            torch.tensor([prompt]), max_new_tokens=count, do_sample=False, eos_token_id=None, pad_token_id=0
        )
    return ids[0, len(prompt):].tolist()


@pytest.fixture(params=["stories260k", "grouped heads"])
def model(request, tmp_path):
    """(transformers' model, its directory)"""
    if request.param == "stories260k":
        directory = request.getfixturevalue("stories")
        return AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32).eval(), directory
    directory = tmp_path / "model"
    return random_llama(directory, tied=False, kv_heads=2, seed=3), directory


def test_greedy_batches_are_what_transformers_generates(model, tmp_path):
    reference, directory = model
    prompts = prompts_of(reference.config.vocab_size, 1, [1, 40, 7, 23, 2, 11])
    file = write_lines(tmp_path / "prompts.jsonl", [{"id": i, "input_ids": ids} for i, ids in enumerate(prompts)])
    arguments = ["generate", "--model", str(directory), "--prompts", file, "--max-new-tokens", "24", "--stop-ids", "99999"]
    for batch in ("1", "4"):
        answers = lines(run_engine(*arguments, "--batch-size", batch))
        assert len(answers) == len(prompts)
        for i, prompt in enumerate(prompts):
            assert answers[i]["output_ids"] == greedy(reference, prompt, 24), f"prompt {i}, batch {batch}"
            assert answers[i]["finish"] == "length"


def test_streamed_tokens_come_before_the_answer_and_are_it(stories, tmp_path):
    file = write_lines(tmp_path / "prompts.jsonl", [{"id": "x", "input_ids": [1, 5, 9]}, {"id": "y", "input_ids": [1]}])
    done = run_engine("generate", "--model", str(stories), "--prompts", file, "--max-new-tokens", "9", "--stream")
    streamed = {"x": [], "y": []}
    for line in map(json.loads, done.stdout.splitlines()):
        if "token" in line:
            streamed[line["id"]].append(line["token"])
        else:
            assert streamed.pop(line["id"]) == line["output_ids"]
    assert streamed == {}


def answers_of(prompts_file, *model):
    done = run_engine("generate", *model, "--prompts", prompts_file, "--max-new-tokens", "16", "--stop-ids", "99999")
    return {id: answer["output_ids"] for id, answer in lines(done).items()}


ADAPTER = {"r": 4, "alpha": 64, "dropout": 0.0, "use_rslora": False, "modules_to_save": []}


@pytest.mark.parametrize(
    ("adapter", "frozen_dtype"),
    [
        (None, "float32"),
        # Nothing is frozen, so there is nothing to store in fewer bits.
        (None, "bfloat16"),
        ({**ADAPTER, "target_modules": ["q_proj", "down_proj"], "modules_to_save": ["norm"]}, "float32"),
        # One adapter serves both ends of this tied model; its directory has it at each.
        ({**ADAPTER, "target_modules": ["o_proj", "embed_tokens", "lm_head"]}, "float32"),
        ({**ADAPTER, "target_modules": ["v_proj"], "modules_to_save": ["embed_tokens"]}, "float32"),
    ],
    ids=["every weight", "every weight, nothing frozen", "linear layers and norms", "both ends", "the embedding, whole"],
)
def test_a_run_answers_as_what_it_has_written(adapter, frozen_dtype, stories, tmp_path):
    rows = [(ids, [1] * len(ids)) for ids in prompts_of(512, 4, [24] * 16)]
    write_shard(tmp_path / "rows.safetensors", rows)
    run = tmp_path / "run"
    model = {"path": str(stories)}
    plan = write_plan(
        run, model=model, shard=tmp_path / "rows.safetensors", steps=6, adapter=adapter, frozen_dtype=frozen_dtype
    )
    run_engine("train", str(plan))
    file = write_lines(tmp_path / "prompts.jsonl", [{"id": i, "input_ids": row[0][:9]} for i, row in enumerate(rows)])
    written = ["--model", str(run / "model")]
    if adapter:
        written = ["--model", str(stories), "--adapter", str(run / "adapter")]
    answers = answers_of(file, "--run", str(run))
    assert answers == answers_of(file, *written)
    assert answers != answers_of(file, "--model", str(stories)), "nothing was learned, so nothing was compared"


def test_a_run_answers_with_its_newest_whole_checkpoint_and_leaves_it_alone(stories, tmp_path):
    rows = [(ids, [1] * len(ids)) for ids in prompts_of(512, 4, [24] * 8)]
    write_shard(tmp_path / "rows.safetensors", rows)
    run = tmp_path / "run"
    plan = write_plan(
        run, model={"path": str(stories)}, shard=tmp_path / "rows.safetensors", steps=4,
        checkpointing={"save_steps": 2, "save_total_limit": None},
    )  # fmt: skip
    file = write_lines(tmp_path / "requests.jsonl", [{"id": 1, "input_ids": [1, 5], "continuation_ids": [9, 7]}])
    arguments = ["score", "--run", str(run), "--requests", file]
    refused = subprocess.run([str(ENGINE), *arguments], capture_output=True, text=True)
    assert refused.returncode == 1 and "no checkpoint yet" in refused.stderr
    run_engine("train", str(plan))
    # As an engine that is writing one leaves it, and one that lost its end.
    (run / "checkpoints" / ".step-6.tmp").mkdir()
    newest, before = run / "checkpoints" / "step-4", run / "checkpoints" / "step-2"
    whole = run_engine(*arguments).stdout
    weights = newest / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    damaged = run_engine(*arguments).stdout
    weights.unlink()
    newest.rename(tmp_path / "elsewhere")
    assert damaged == run_engine(*arguments).stdout
    assert damaged != whole
    assert before.is_dir() and (run / "checkpoints" / ".step-6.tmp").is_dir()


def test_scores_are_log_softmax_of_transformers_logits(model, tmp_path):
    reference, directory = model
    vocabulary = reference.config.vocab_size
    contexts, continuations = (prompts_of(vocabulary, seed, [9, 1, 60, 17]) for seed in (1, 2))
    # One whose continuation is the greedy one.
    contexts.append([1, 7, 9])
    continuations.append(greedy(reference, [1, 7, 9], 6))
    file = write_lines(
        tmp_path / "requests.jsonl",
        [{"id": i, "input_ids": a, "continuation_ids": b} for i, (a, b) in enumerate(zip(contexts, continuations))],
    )
    answers = lines(run_engine("score", "--model", str(directory), "--requests", file))
    assert len(answers) == len(contexts)
    for i, (context, continuation) in enumerate(zip(contexts, continuations)):
        with torch.no_grad():
            logits = reference(input_ids=torch.tensor([context + continuation])).logits[0]
        rows = logits[len(context) - 1 : -1]
        expected = torch.log_softmax(rows, -1)[torch.arange(len(continuation)), torch.tensor(continuation)]
        numpy.testing.assert_allclose(answers[i]["token_log_likelihoods"], expected.numpy(), atol=1e-4)
        assert abs(answers[i]["log_likelihood"] - expected.sum().item()) < 1e-4 * max(1, len(continuation))
        assert answers[i]["is_greedy"] == (rows.argmax(-1).tolist() == continuation)
        assert answers[i]["truncated"] == 0
    assert answers[len(contexts) - 1]["is_greedy"]


def test_base_weights_that_an_adapter_brings_are_not_rounded_with_the_models_own(tmp_path):
    random_llama(tmp_path / "base", tied=False, kv_heads=2, seed=17).bfloat16().save_pretrained(tmp_path / "base")
    base = AutoModelForCausalLM.from_pretrained(tmp_path / "base", dtype=torch.float32)
    # As in a vocabulary whose rows were trained before the adapter was: PEFT saves them beside it.
    with torch.no_grad():
        base.get_input_embeddings().weight += torch.rand_like(base.get_input_embeddings().weight) / 3
    torch.manual_seed(19)
    settings = LoraConfig(task_type="CAUSAL_LM", r=4, target_modules=["q_proj", "embed_tokens"])
    reference = get_peft_model(base, settings).eval()
    reference.save_pretrained(tmp_path / "adapter")
    prompts = prompts_of(base.config.vocab_size, 21, [30, 40])
    file = write_lines(
        tmp_path / "requests.jsonl",
        [{"id": i, "input_ids": ids[:9], "continuation_ids": ids[9:]} for i, ids in enumerate(prompts)],
    )
    named = ["--model", str(tmp_path / "base"), "--adapter", str(tmp_path / "adapter")]
    answers = lines(run_engine("score", *named, "--requests", file))
    for i, ids in enumerate(prompts):
        with torch.no_grad():
            rows = torch.log_softmax(reference(input_ids=torch.tensor([ids])).logits[0, 8:-1], -1)
        expected = rows[torch.arange(len(ids) - 9), torch.tensor(ids[9:])]
        numpy.testing.assert_allclose(answers[i]["token_log_likelihoods"], expected.numpy(), atol=2e-5)


def test_drawn_tokens_follow_transformers_truncated_distribution(tmp_path):
    """One prompt many times: positions and seed are the same, the prompt's index is not."""
    from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

    prompt, draws = [1, 203, 107], 4000
    reference = random_llama(tmp_path / "model", tied=False, kv_heads=2, seed=5)
    file = write_lines(tmp_path / "prompts.jsonl", [{"id": i, "input_ids": prompt} for i in range(draws)])
    done = run_engine(
        "generate", "--model", str(tmp_path / "model"), "--prompts", file, "--max-new-tokens", "1", "--stop-ids", "99999",
        "--temperature", "1.4", "--top-k", "40", "--top-p", "0.9", "--seed", "11", "--batch-size", "64",
    )  # fmt: skip
    counts = numpy.zeros(320)
    for answer in lines(done).values():
        counts[answer["output_ids"][0]] += 1
    with torch.no_grad():
        scores = reference(input_ids=torch.tensor([prompt])).logits[:, -1]
    for warper in (TemperatureLogitsWarper(1.4), TopKLogitsWarper(40), TopPLogitsWarper(0.9)):
        scores = warper(None, scores)
    expected = torch.softmax(scores[0].double(), -1).numpy()
    assert counts.sum() == draws
    assert counts[expected == 0].sum() == 0
    kept = expected > 0
    chi_square = ((counts[kept] - draws * expected[kept]) ** 2 / (draws * expected[kept])).sum()
    degrees = kept.sum() - 1
    assert degrees > 5
    # Five standard deviations of chi-square's normal approximation; the seed is fixed.
    assert chi_square < degrees + 5 * numpy.sqrt(2 * degrees)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"id": 1, "input_ids": [1], "continuation_ids": []}', "continuation_ids is empty"),
        ('{"id": 1, "input_ids": [1], "continuation_ids": [512]}', "vocabulary has 512 tokens"),
        ('{"input_ids": [1], "continuation_ids": [2]}', "id"),
        ('{"id": 1, "input_ids": [1], "continuation_ids": [2], "more": 3}', "more"),
        ('{"id": 1, "input_ids": [-1], "continuation_ids": [2]}', "token ids"),
        ("[]", "object"),
        ("{", "parse"),
    ],
)
def test_a_request_that_cannot_be_is_named_with_its_line(line, said, stories, tmp_path):
    file = tmp_path / "requests.jsonl"
    file.write_text('{"id": 0, "input_ids": [1], "continuation_ids": [2]}\n\n' + line + "\n")
    done = subprocess.run(
        [str(ENGINE), "score", "--model", str(stories), "--requests", str(file)], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert f"{file}:3" in done.stderr and said in done.stderr, done.stderr
