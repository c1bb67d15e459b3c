"""`study.yaml`: what it takes, and how it refuses."""

import pytest

from jevons.proxy.errors import ConfigError
from jevons.proxy.study.study_file import load_study, parse_study

PROXY = "proxy: {base_url: http://127.0.0.1:1, admin: http://127.0.0.1:2}\n"
ARMS = "arms:\n  - {name: a, model: x}\n  - {name: b, model: y, thinking: true}\n"


def refused(text):
    """The problems of a study that cannot be run."""
    with pytest.raises(ConfigError) as caught:
        parse_study(text, environment={})
    return "\n".join(caught.value.problems)


def test_a_short_study_is_enough():
    """A proxy and two arms; the first is the baseline, the prompts are the article's."""
    section = parse_study(PROXY + ARMS, environment={}).section
    assert (section.baseline_arm, section.prompts, section.concurrency) == ("a", "article", (1,))
    assert section.arm("b").thinking is True


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (ARMS, "give one of proxy, upstreams and simulated"),
        (PROXY + ARMS + "simulated: true\n", "give one of proxy, upstreams and simulated"),
        (PROXY + ARMS + "baseline: c\n", "'c' is none of the arms a, b"),
        (PROXY + ARMS.replace("name: b", "name: a"), "two arms have the same name"),
        (PROXY + ARMS + "concurrency: [8, 8]\n", "a level is given twice"),
        (PROXY + ARMS + "repetition: 3\n", "study.yaml:5:1: repetition: unknown key, did you mean repetitions?"),
        (PROXY + ARMS + "concurrency: [0]\n", "concurrency.0: must be greater than 0"),
        (PROXY, "arms: missing key"),
        (
            PROXY + "arms:\n  - {name: a, model: x, estimate: {low_joules_per_token: 2, high_joules_per_token: 1, basis: b}}\n",
            "above",
        ),
        (PROXY.replace(":1,", ":1, api_key: '${NO_SUCH}',") + ARMS, "NO_SUCH is not set"),
    ],
)
def test_what_cannot_be_run_is_refused(text, problem):
    """With the line, the path, and what would have been right."""
    assert problem in refused(text)


def test_upstreams_keep_their_variables():
    """A key in the environment is not copied out of it: the proxy that the study starts fills it in."""
    text = "upstreams:\n  - {name: x, url: http://h/v1, model: m, api_key: '${KEY}'}\n" + ARMS
    study = parse_study(text, environment={"KEY": "secret"})
    assert study.upstreams == [{"name": "x", "url": "http://h/v1", "model": "m", "api_key": "${KEY}"}]
    assert "secret" not in str(study.public())


def test_the_fingerprint_is_of_what_is_asked():
    """Where the servers are does not change it, nor how long to watch them idle; what they are asked does."""
    one = parse_study(PROXY + ARMS, environment={})
    assert one.fingerprint("p") == parse_study(PROXY.replace(":1", ":9") + ARMS + "idle_seconds: 1\n").fingerprint("p")
    assert one.fingerprint("p") != one.fingerprint("q")
    assert one.fingerprint("p") != parse_study(PROXY + ARMS + "temperature: 0\n").fingerprint("p")


def test_a_file_is_read_beside_which_prompts_are_sought(tmp_path):
    """The folder of the study is where its files are; a file that is not there says so."""
    (tmp_path / "study.yaml").write_text(PROXY + ARMS)
    assert load_study(tmp_path / "study.yaml").folder == tmp_path
    with pytest.raises(ConfigError, match="No such file"):
        load_study(tmp_path / "absent.yaml")
