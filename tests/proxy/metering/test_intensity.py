"""Carbon intensity as its sources write it: the shapes of the real services, and what is none of them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jevons.proxy.metering.intensity import IntensityError, parse_electricity_maps, parse_file, parse_uk
from jevons.proxy.observed import Intensity

NOON = 1516449600.0
"""2018-01-20T12:00Z."""
UK_NATIONAL = {
    "data": [
        {
            "from": "2018-01-20T12:00Z",
            "to": "2018-01-20T12:30Z",
            "intensity": {"forecast": 266, "actual": 263, "index": "moderate"},
        }
    ]
}
UK_REGIONAL = {
    "data": [
        {
            "regionid": 3,
            "dnoregion": "Electricity North West",
            "shortname": "North West England",
            "postcode": "RG10",
            "data": [
                {
                    "from": "2018-01-20T12:00Z",
                    "to": "2018-01-20T12:30Z",
                    "intensity": {"forecast": 126, "index": "moderate"},
                    "generationmix": [{"fuel": "gas", "perc": 26.7}],
                }
            ],
        }
    ]
}
ELECTRICITY_MAPS = {
    "zone": "DE",
    "carbonIntensity": 302,
    "datetime": "2018-01-20T12:00:00.000Z",
    "updatedAt": "2018-01-20T12:07:00.350Z",
    "createdAt": "2018-01-17T12:07:00.350Z",
    "emissionFactorType": "lifecycle",
    "isEstimated": True,
    "estimationMethod": "TIME_SLICER_AVERAGE",
}


def encoded(value):
    return json.dumps(value).encode()


def test_great_britain():
    """The actual intensity of the half hour, where it is known."""
    assert parse_uk(encoded(UK_NATIONAL)) == Intensity(263.0, "uk_carbon_intensity", NOON)


def test_great_britain_in_advance():
    """The forecast until then."""
    period = {**UK_NATIONAL["data"][0], "intensity": {"forecast": 266, "actual": None, "index": "moderate"}}
    assert parse_uk(encoded({"data": [period]})).gco2e_per_kwh == 266.0


@pytest.mark.parametrize("reply", [UK_REGIONAL, {"data": UK_REGIONAL["data"][0]}], ids=["list", "object"])
def test_a_region_of_great_britain(reply):
    """A region's figure is in its own list, whether the regions are listed or it stands alone."""
    assert parse_uk(encoded(reply)) == Intensity(126.0, "uk_carbon_intensity", NOON)


def test_electricity_maps():
    """The figure, for the hour that it is for and not for that of its making."""
    assert parse_electricity_maps(encoded(ELECTRICITY_MAPS)) == Intensity(302.0, "electricity_maps", NOON)


@pytest.mark.parametrize(
    ("text", "intensity"),
    [
        ("231\n", Intensity(231.0, "file", 5.0)),
        ('{"gco2e_per_kwh": 0}', Intensity(0.0, "file", 5.0)),
        ('{"gco2e_per_kwh": 98.5, "at": "2018-01-20T12:00Z"}', Intensity(98.5, "file", NOON)),
        ('{"gco2e_per_kwh": 98.5, "at": "2018-01-20T14:00:00+02:00", "zone": "DE"}', Intensity(98.5, "file", NOON)),
        ('{"gco2e_per_kwh": 98.5, "at": "2018-01-20T12:00:00"}', Intensity(98.5, "file", NOON)),
    ],
)
def test_a_file(text, intensity):
    """A number, or an object that may say for when; else it is as old as the file."""
    assert parse_file(text, written_at=5.0) == intensity


@pytest.mark.parametrize(
    ("parse", "text", "reason"),
    [
        (parse_file, "", "neither a number nor JSON"),
        (parse_file, "lots", "neither a number nor JSON"),
        (parse_file, "-3", "no intensity in grams per kWh"),
        (parse_file, "NaN", "no intensity in grams per kWh"),
        (parse_file, "true", "no intensity in grams per kWh"),
        (parse_file, "231000", "no intensity in grams per kWh"),
        (parse_file, '{"gco2e_per_kwh": 9, "at": "today"}', "no time that the intensity is for"),
        (parse_uk, "<html>", "the reply is no JSON"),
        (parse_uk, "[]", "the reply is no JSON object"),
        (parse_uk, '{"error": {"code": "400 Bad Request"}}', "no intensity in the reply"),
        (parse_uk, '{"data": []}', "no intensity in the reply"),
        (parse_uk, '{"data": [{"intensity": {"forecast": null}, "from": "2018-01-20T12:00Z"}]}', "no intensity in grams per kWh"),
        (parse_uk, '{"data": [{"intensity": {"forecast": 3}}]}', "no time that the intensity is for"),
        (parse_electricity_maps, '{"error": "Invalid auth-token"}', "no intensity in grams per kWh"),
        (parse_electricity_maps, '{"carbonIntensity": "302"}', "no intensity in grams per kWh"),
    ],
)
def test_what_is_no_intensity(parse, text, reason):
    """Whatever else comes is an error with a reason, and never a zero."""
    with pytest.raises(IntensityError, match=reason):
        parse(text, 5.0) if parse is parse_file else parse(text.encode())


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["data", "intensity", "from", "actual"]), inner),
    max_leaves=8,
)


@given(json_values)
def test_any_json_is_an_intensity_or_an_error(value):
    """A reply of any shape never breaks anything."""
    for parse in (parse_uk, parse_electricity_maps):
        try:
            intensity = parse(encoded(value))
        except IntensityError:
            continue
        assert 0 <= intensity.gco2e_per_kwh <= 5000
