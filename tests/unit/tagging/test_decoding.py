import tracemalloc
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fpplm_core.tagging import viterbi as module
from fpplm_core.tagging.batches import Arrays
from fpplm_core.tagging.schemes import INNER_SCHEME, label_list, tag_errors, transitions
from fpplm_core.tagging.viterbi import FORBIDDEN, decode, legality_scores, shift_threshold, softmax, viterbi
from fpplm_core.tagging.windows import Window
from fpplm_core.tagging.word_logits import word_logits


def path_score(logits: np.ndarray, path, scores: np.ndarray) -> float:
    edge = logits.shape[1]
    steps = sum(float(scores[a, b]) for a, b in pairwise([edge, *path, edge]))
    return steps + sum(float(row[label]) for row, label in zip(logits, path, strict=True))


def best_score(logits: np.ndarray, scores: np.ndarray) -> float:
    words, count = logits.shape
    return max(path_score(logits, path, scores) for path in product(range(count), repeat=words))


def random_case(seed: int, sizes, count: int, scale: float = 1.0) -> tuple[list[np.ndarray], np.ndarray]:
    random = np.random.default_rng(seed)
    logits = [(scale * random.normal(size=(words, count))).astype(np.float32) for words in sizes]
    return logits, (scale * random.normal(size=(count + 1, count + 1))).astype(np.float32)


seeds = st.integers(0, 2**32 - 1)


@given(seeds, st.integers(1, 5), st.integers(1, 4), st.sampled_from([1.0, 0.0, 30.0]))
def test_no_path_scores_better(seed, words, count, scale):
    (logits,), scores = random_case(seed, [words], count, scale)
    scores[np.random.default_rng(seed).random(scores.shape) < 0.3] = FORBIDDEN
    (path,) = viterbi(logits[None], np.array([words]), scores)
    assert path_score(logits, path, scores) == pytest.approx(best_score(logits, scores), rel=1e-5, abs=1e-4)


@given(seeds, st.lists(st.integers(0, 7), max_size=8), st.integers(1, 5))
def test_a_padded_batch_gives_what_each_sentence_gives_alone(seed, sizes, count):
    logits, scores = random_case(seed, sizes, count)
    found = decode(logits, scores)
    assert [len(path) for path in found] == sizes
    for values, path in zip(logits, found, strict=True):
        if len(values):
            (alone,) = viterbi(values[None], np.array([len(values)]), scores)
            assert path.tolist() == alone.tolist()


@given(seeds, st.lists(st.integers(0, 7), max_size=8), st.integers(1, 60))
def test_smaller_batches_give_the_same_paths(seed, sizes, at_once):
    logits, scores = random_case(seed, sizes, 3)
    whole = decode(logits, scores)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "AT_ONCE", at_once)
        assert [path.tolist() for path in decode(logits, scores)] == [path.tolist() for path in whole]


def test_the_memory_of_many_texts_with_many_labels_is_bounded():
    logits, scores = random_case(0, [2] * 1024, 300)
    tracemalloc.start()
    decode(logits, scores)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 150e6  # 1,024 × 300² scores of 4 bytes are 369 MB


@given(seeds, st.integers(2, 6))
def test_what_stands_in_the_padding_does_not_matter(seed, words):
    (logits, noise), scores = random_case(seed, [words, words], 4)
    padded = np.stack([np.concatenate([logits, 100 * noise]), np.concatenate([noise, logits])])
    paths = viterbi(padded, np.array([words, 2 * words]), scores)
    assert paths[0, :words].tolist() == viterbi(logits[None], np.array([words]), scores)[0].tolist()
    assert not paths[0, words:].any()


@given(seeds, st.integers(1, 40), st.sampled_from([0.1, 10.0, 300.0]))
def test_a_decoded_path_is_legal_whatever_the_logits(seed, words, scale):
    labels = label_list(["PER", "creative-work"])
    logits, _ = random_case(seed, [words, 1], len(labels), scale)
    for path in decode(logits, legality_scores(transitions(labels))):
        assert tag_errors([labels[label] for label in path], INNER_SCHEME) == []


@given(seeds, st.integers(1, 40))
def test_a_legal_best_path_stays_as_it_is(seed, words):
    labels = label_list(["PER", "LOC"])
    (logits,), _ = random_case(seed, [words], len(labels))
    greedy = logits.argmax(axis=1)
    if not tag_errors([labels[label] for label in greedy], INNER_SCHEME):
        (path,) = decode([logits], legality_scores(transitions(labels)))
        assert path.tolist() == greedy.tolist()


def test_a_long_sentence_is_decoded_as_exactly_as_its_parts():
    labels = label_list(["PER"])
    outside = np.zeros((1, len(labels)), dtype=np.float32)
    outside[0, 0] = 50  # parts the sentence: no entity crosses it
    parts, _ = random_case(0, [20] * 400, len(labels))
    scores = legality_scores(transitions(labels))
    whole = np.concatenate([block for part in parts for block in (part, outside)])
    (path,) = decode([whole], scores)
    expected = [label for found in decode(parts, scores) for label in (*found.tolist(), 0)]
    assert path.tolist() == expected


def test_scores_between_labels_decide_where_logits_do_not():
    logits = np.zeros((1, 3, 2), dtype=np.float32)
    scores = np.zeros((3, 3), dtype=np.float32)
    scores[2, 1] = scores[1, 0] = scores[0, 1] = 1  # start -> 1 -> 0 -> 1
    assert viterbi(logits, np.array([3]), scores).tolist() == [[1, 0, 1]]
    scores[0, 2] = 5  # an end at 0 outweighs the rest
    assert viterbi(logits, np.array([3]), scores).tolist()[0][-1] == 0


def test_nothing_to_decode_gives_nothing():
    scores = np.zeros((3, 3), dtype=np.float32)
    empty = np.zeros((0, 2), dtype=np.float32)
    assert decode([], scores) == []
    assert [len(path) for path in decode([empty, np.zeros((0, 0), dtype=np.float32)], scores)] == [0, 0]
    assert [len(path) for path in decode([empty, np.ones((2, 2), dtype=np.float32), empty], scores)] == [0, 2, 0]


def test_legality_scores_forbid_and_never_favour():
    legal = np.array([[True, False], [False, True]])
    assert legality_scores(legal).tolist() == [[0.0, FORBIDDEN], [FORBIDDEN, 0.0]]


@given(seeds, st.sampled_from([1.0, 1e4]))
def test_softmax_is_a_distribution_that_keeps_the_order(seed, scale):
    (logits,), _ = random_case(seed, [5], 4, scale)
    found = softmax(logits)
    assert np.allclose(found.sum(axis=-1), 1)
    assert (found >= 0).all()
    assert (found.argmax(axis=-1) == logits.argmax(axis=-1)).all()


@st.composite
def windowed(draw) -> tuple[list[Window], list[int]]:
    """Sentences whose words are owned by windows in turns; a word's first piece is an id that no other has."""
    lengths = draw(st.lists(st.integers(0, 9), max_size=6))
    windows = []
    for sentence, length in enumerate(lengths):
        place = 0
        while place < length:
            words = list(range(place, min(length, place + draw(st.integers(1, 4)))))
            ids, first = [1] * draw(st.integers(1, 3)), []
            for word in words:
                first.append(len(ids))
                ids += [100 * (sentence + 1) + word] + [1] * draw(st.integers(0, 2))
            windows.append(Window(sentence, [*ids, 1], words, first, [0] * (len(ids) + 1)))
            place = words[-1] + 1
    order = draw(st.permutations(windows))
    return order, lengths


@given(windowed(), st.integers(1, 40))
def test_every_words_logits_stand_at_its_place(case, budget):
    windows, lengths = case

    def run(arrays: Arrays) -> np.ndarray:
        """A runtime whose logits name the piece that it was asked for."""
        assert arrays.ids.size <= budget or len(arrays.ids) == 1
        asked = np.take_along_axis(arrays.ids, arrays.first_pieces, axis=1)
        return np.stack([asked, -asked], axis=-1).astype(np.float32)

    found = word_logits(windows, lengths, budget, run)
    assert [len(values) for values in found] == lengths
    for sentence, values in enumerate(found):
        names = [100 * (sentence + 1) + word for word in range(lengths[sentence])]
        assert values.tolist() == [[name, -name] for name in names]


@given(st.floats(0.05, 0.95), st.floats(0.05, 1.0))
def test_leaning_takes_an_entity_from_half_the_f1_on(chance, f1):
    if abs(chance - f1 / 2) < 1e-3:
        return
    logits = [np.log(np.array([[1 - chance, chance]], dtype=np.float32))]
    none = np.zeros((3, 3), dtype=np.float32)
    (path,) = decode(logits, shift_threshold(none, f1, 1.0))
    assert path.tolist() == [int(chance > f1 / 2)]
    assert np.array_equal(shift_threshold(none, f1, 0.0), none)


def test_leaning_costs_every_o_the_same_and_leaves_its_input_alone():
    """A whole path: entities are found from p > F/2 on, wherever they stand."""
    random = np.random.default_rng(0)
    chances = random.uniform(0.01, 0.99, 40)
    logits = [np.log(np.stack([1 - chances, chances], 1)).astype(np.float32)]
    given_scores = np.zeros((3, 3), dtype=np.float32)
    before = given_scores.copy()
    (path,) = decode(logits, shift_threshold(given_scores, 0.6, 1.0))
    assert np.array_equal(path, (chances > 0.3).astype(int))
    assert np.array_equal(given_scores, before)
