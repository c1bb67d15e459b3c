"""The section `energy`: one source of carbon intensity, and files that can be there."""

import pytest
from pydantic import ValidationError

from jevons.proxy.config import to_upstreams
from jevons.proxy.config_energy import EnergySection
from jevons.proxy.config_file import parse_config
from jevons.proxy.errors import ConfigError
from jevons.proxy.exchange import Coefficients

UPSTREAM = "upstreams: [{name: chat, url: http://127.0.0.1:8000/v1, model: llama}]\n"


def energy(text, folder=None, **environment):
    """The section as it is read from a file."""
    return parse_config(f"{UPSTREAM}energy: {text}", folder=folder, environment=environment).energy


def problem(text, folder=None):
    """What is wrong with it."""
    with pytest.raises(ConfigError) as caught:
        energy(text, folder)
    return [line.split(": ", 1)[1] for line in caught.value.problems]


MODEL = "fixed_joules_per_step: 3, joules_per_token: 0.05, joules_per_context_token: 3e-5, joules_per_prompt_token: 0.02"


def upstream(energy):
    """An upstream with this energy model, as it is read from a file."""
    [made] = to_upstreams(parse_config(UPSTREAM.replace("model: llama", f"model: llama, energy: {{{energy}}}")))
    return made


def test_an_energy_model_may_say_how_far_off_it_is():
    """The terms and their errors come apart, in one order; errors need not be given."""
    errors = "joules_per_token: 0.03, fixed_joules_per_step: 0.02, joules_per_context_token: 0.1, joules_per_prompt_token: 0.33"
    made = upstream(f"{MODEL}, relative_errors: {{{errors}}}")
    assert made.coefficients == upstream(MODEL).coefficients == Coefficients(3.0, 0.05, 3e-5, 0.02)
    assert made.doubts == (0.02, 0.03, 0.1, 0.33)
    assert upstream(MODEL).doubts is None


@pytest.mark.parametrize("error", ["0", "1.5", "-0.1"])
def test_an_error_is_a_share_above_nothing(error):
    """Nothing is known exactly, and what is off by more than itself is not known; each term has its error."""
    errors = f"fixed_joules_per_step: {error}, joules_per_token: 0.1, joules_per_context_token: 0.1"
    with pytest.raises(ConfigError) as caught:
        upstream(f"{MODEL}, relative_errors: {{{errors}}}")
    told = "\n".join(caught.value.problems)
    assert "upstreams.0.energy.relative_errors.fixed_joules_per_step: must be" in told
    assert "relative_errors.joules_per_prompt_token: missing key" in told


def test_defaults():
    """Nothing about the grid is assumed, nothing is kept, and what cannot be read is estimated."""
    section = EnergySection()
    assert (section.pue, section.carbon, section.estimates, section.state_file) == (1.0, None, True, None)


def test_a_constant():
    """Zero is an intensity too."""
    assert energy("{carbon: {gco2e_per_kwh: 0}}").carbon.gco2e_per_kwh == 0.0


def test_a_file_beside_the_configuration(tmp_path):
    """A relative path is sought there."""
    (tmp_path / "carbon").write_text("380")
    carbon = energy("{carbon: {file: carbon, stale_hours: 2}}", tmp_path).carbon
    assert (carbon.file, carbon.stale_seconds) == (tmp_path / "carbon", 7200.0)


@pytest.mark.parametrize(
    ("text", "postcode", "region"), [("{}", None, None), ("{postcode: rg10}", "RG10", None), ("{region: 13}", None, 13)]
)
def test_great_britain(text, postcode, region):
    """The whole of it, or one region by either name."""
    section = energy(f"{{carbon: {{uk_carbon_intensity: {text}}}}}").carbon.uk_carbon_intensity
    assert (section.postcode, section.region, section.url) == (postcode, region, None)


def test_electricity_maps():
    """The token comes from the environment and is not shown."""
    section = energy("{carbon: {electricity_maps: {zone: US-CAL-CISO, token: '${TOKEN}'}}}", TOKEN="secret").carbon
    assert section.electricity_maps.zone == "US-CAL-CISO"
    assert section.electricity_maps.token.get_secret_value() == "secret"
    assert "secret" not in repr(section)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{carbon: {}}", "energy.carbon: give one of gco2e_per_kwh, file, uk_carbon_intensity, electricity_maps"),
        (
            "{carbon: {gco2e_per_kwh: 380, uk_carbon_intensity: {}}}",
            "energy.carbon: give one of gco2e_per_kwh, file, uk_carbon_intensity, electricity_maps",
        ),
        ("{carbon: {gco2e_per_kwh: -1}}", "energy.carbon.gco2e_per_kwh: must be at least 0.0"),
        ("{carbon: {file: missing}}", "energy.carbon.file: no such file"),
        ("{carbon: {gco2e_per_kwh: 1, stale_hours: 0}}", "energy.carbon.stale_hours: must be greater than 0.0"),
        ("{carbon: {electricity_maps: {zone: DE}}}", "energy.carbon.electricity_maps.token: missing key"),
        (
            "{carbon: {electricity_maps: {zone: 'DE&x=y', token: t}}}",
            "energy.carbon.electricity_maps.zone: must match ^[A-Za-z]{2,4}(-[A-Za-z0-9]+)*$",
        ),
        (
            "{carbon: {uk_carbon_intensity: {postcode: RG10, region: 3}}}",
            "energy.carbon.uk_carbon_intensity: give postcode or region, not both",
        ),
        (
            "{carbon: {uk_carbon_intensity: {region: 18}}}",
            "energy.carbon.uk_carbon_intensity.region: must be at most 17",
        ),
        (
            "{carbon: {uk_carbon_intensity: {postcode: 'RG10 9NY'}}}",
            "energy.carbon.uk_carbon_intensity.postcode: must match ^[A-Za-z]{1,2}[0-9][A-Za-z0-9]?$",
        ),
        (
            "{carbon: {uk_carbon_intensity: {url: 'http://me:secret@host'}}}",
            "energy.carbon.uk_carbon_intensity.url: must not carry credentials; use api_key or api_key_file",
        ),
        ("{state_file: missing/state.json}", "energy.state_file: no such folder"),
        ("{state_file: .}", "energy.state_file: no such folder"),
        ("{statefile: x}", "energy.statefile: unknown key, did you mean state_file?"),
    ],
)
def test_what_is_wrong_with_it(tmp_path, text, message):
    """Every mistake is named, with its path."""
    assert problem(text, tmp_path) == [message]


def test_a_state_file_need_not_be_there(tmp_path):
    """It is made; its folder is not."""
    assert energy("{state_file: state.json}", tmp_path).state_file == tmp_path / "state.json"


def test_sections_can_be_made_by_hand():
    """With what a file would hold."""
    with pytest.raises(ValidationError, match="give one of"):
        EnergySection.model_validate({"carbon": {}})
