import pytest

from jsf.data.progress import track


@pytest.mark.parametrize("count", [0, 1, 5])
def test_every_item_comes_through_and_standard_output_stays_clean(
    count: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert list(track(iter(range(count)), "reading", count)) == list(range(count))
    assert capsys.readouterr().out == ""
