"""The walk through exported trees, and the artefact that is shipped."""

from __future__ import annotations

import json
from importlib.resources import files

import pytest

from jevons.policies.score.features import FEATURES
from jevons.policies.score.trees import FORMAT, ArtefactError, read_trees, shipped

WIDE = [[float("-inf"), float("inf")]] * len(FEATURES)
LARGEST_BYTES = 100_000


def artefact(**changes: object) -> str:
    words = FEATURES.index("words")
    plain = {
        "format": FORMAT,
        "features": list(FEATURES),
        "threshold": 0.4,
        "base": 0.5,
        "calibration": [[0.0, 1.0], [0.1, 0.9]],
        "ranges": WIDE,
        "trees": [[words, 1.0, -0.5, [words, 2.0, 0.0, 0.5]]],
    }
    return json.dumps({**plain, **changes})


def test_a_value_at_a_threshold_goes_low():
    """A question is answered by `at most`, as scikit-learn does."""
    trees = read_trees(artefact())
    place = FEATURES.index("words")
    values = [0.0] * len(FEATURES)
    raws = []
    for value in (1.0, 1.1, 2.0, 2.1):
        values[place] = value
        raws.append(trees.raw(values))
    assert raws == [0.0, 0.5, 0.5, 1.0]


def test_probabilities_lie_between_the_places():
    """The calibration is a line between its places and level beyond them."""
    trees = read_trees(artefact())
    assert [trees.calibrate(raw) for raw in (-5, 0, 0.5, 1, 5)] == pytest.approx([0.1, 0.1, 0.5, 0.9, 0.9])


def test_what_lies_outside_the_ranges_is_strange():
    """A text names the features in which it is unlike what was trained on."""
    ranges = [*WIDE]
    ranges[FEATURES.index("question_marks")] = [0, 3]
    trees = read_trees(artefact(ranges=ranges))
    assert trees.score("Really????").strange == ("question_marks",)
    assert trees.score("Really?").strange == ()


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("{", "not a readable"),
        ("[]", "format"),
        (json.dumps({"format": "other"}), "format"),
        (artefact(features=["one"]), "train it again"),
        (artefact(calibration=[[1.0, 0.0], [0.1, 0.9]]), "ascend"),
        (artefact(calibration=[[], []]), "ascend"),
        (artefact(ranges=[[0, 1]]), "range for each"),
        (artefact(trees=[[9999, 1.0, 0.0, 0.0]]), "asks for feature 9999"),
        (artefact(trees=[["a"]]), "not a readable"),
        (artefact(trees=["a"]), "leaf must be a number"),
    ],
)
def test_what_is_no_artefact_is_refused(text, word):
    """A file that is none, or one of other features, is refused with what is wrong with it."""
    with pytest.raises(ArtefactError, match=word):
        read_trees(text)


def test_the_shipped_artefact_is_small_and_holds_no_prompt():
    """It stays under 100 KB, and its only strings are its own names."""
    text = files("jevons.policies.score").joinpath("difficulty.json").read_text()
    assert len(text) <= LARGEST_BYTES
    data = json.loads(text)
    assert set(data) == {"format", "features", "threshold", "base", "calibration", "ranges", "note", "trees"}

    def strings(value: object) -> list[str]:
        if isinstance(value, str):
            return [value]
        return [one for child in value for one in strings(child)] if isinstance(value, list) else []

    assert strings(data["trees"]) == strings(data["ranges"]) == strings(data["calibration"]) == []


def test_the_shipped_score_tells_a_proof_from_a_greeting():
    """The simplest of differences is one that it sees."""
    trees = shipped()
    hard = trees.score("Prove that every bounded monotone sequence of real numbers converges.")
    assert hard.probability > trees.threshold > trees.score("hello, how are you today?").probability
