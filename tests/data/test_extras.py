import json

import pytest

from jsf.data.errors import JsfError
from jsf.data.extras import require


def test_a_package_that_is_there() -> None:
    assert require("json", "cpu") is json


def test_a_missing_package_is_named_with_its_install_command() -> None:
    with pytest.raises(JsfError, match="needs the Python package 'no_such_package'") as caught:
        require("no_such_package.inner", "train")
    assert caught.value.fix == "Install it with, in the folder of jsf's sources: pip install '.[train]'"
    assert str(caught.value).endswith(caught.value.fix)
