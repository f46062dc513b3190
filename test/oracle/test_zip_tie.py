"""What zip-tie initialisation is for: a base that knows its bytes loses less, at once and after training, with new rows tied from them."""

import pytest
from grown_vocabulary import PROGRAM, UD, Training, extend_tokenizer, grown_losses

STEPS = 50


@pytest.fixture(scope="module")
def losses(stories, tmp_path_factory):
    """
    stories260k has never seen a byte of Chinese: until it has been trained on the text in its own tokens, all of its byte tokens
    are one token to it, and there is nothing to tie.
    """
    if not UD.is_file():
        pytest.skip(f"no corpus at {UD}")
    if not PROGRAM.is_file():
        pytest.skip(f"no program at {PROGRAM}")
    directory = tmp_path_factory.mktemp("zip-tie")
    rows = {"max_length": 192, "batch_size": 8}
    tokenizer = stories / "tokenizer.json"
    base, learned = Training(tokenizer, **rows).base(directory / "base", {"path": str(stories)}, 600, seed=1)
    # Else it would not know its bytes: as likely as any other, each would cost log 512 = 6.2.
    assert learned[600] < 3 < learned[0]
    extended = extend_tokenizer(directory / "extended", tokenizer, 1000)
    training = Training(extended / "tokenizer.json", **rows)
    return grown_losses(directory, training, base, extended, steps=STEPS, seed=1)


def test_before_the_first_step_zip_tied_rows_lose_less_than_random_ones_of_their_size_and_than_the_mean(losses):
    first = {name: by_step[0] for name, by_step in losses.items()}
    assert first["zip-tie"] < first["mean"] - 0.1
    assert first["zip-tie"] < first["random at scale"] - 1


def test_after_training_they_still_lose_less_than_any_others(losses):
    last = {name: by_step[STEPS] for name, by_step in losses.items()}
    for other in ("random", "random at scale", "mean"):
        assert last["zip-tie"] < last[other] - 0.01, other
