import pytest

from jsf.data.identity import full_precision, in_precision, same_extractor

CNN = "resnet int8 1 0a1b2c3d4e5f"


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_a_reduced_cnn_is_named_and_the_name_is_taken_off_again(precision):
    named = in_precision(CNN, precision, "f" * 64)
    assert named == f"{CNN} {precision} ffffffffffff"
    assert full_precision(named) == full_precision(CNN) == CNN


@pytest.mark.parametrize("name", ["", "toy", "net int8", "net fp16 0a1b", "net int8 0a1b2c3d4e5f 0a1b2c3d4e5f"])
def test_other_names_stay_as_they_are(name):
    assert full_precision(name) == name


def test_features_of_one_extractor_meet_in_any_precision_and_those_of_two_never():
    int8, fp16 = (in_precision(CNN, precision, "f" * 64) for precision in ("int8", "fp16"))
    assert same_extractor(int8, CNN)
    assert same_extractor(int8, fp16)
    assert same_extractor("", int8)
    assert not same_extractor(int8, in_precision("resnet 2 0a1b2c3d4e5f", "int8", "f" * 64))
