from collections.abc import Iterable

import pytest

from jsf.data.progress import track


@pytest.mark.parametrize("count", [0, 1, 5])
def test_every_item_comes_through_and_standard_output_stays_clean(
    count: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert list(track(iter(range(count)), "reading", count)) == list(range(count))
    assert capsys.readouterr().out == ""


def test_one_bar_is_shown_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []

    def record(items: Iterable[int], label: str, **_: object) -> Iterable[int]:
        shown.append(label)
        return items

    monkeypatch.setattr("rich.progress.track", record)
    for _ in range(2):
        pairs = [(i, j) for i in track(range(2), "outer", 2) for j in track(range(2), "inner", 2)]
        assert pairs == [(0, 0), (0, 1), (1, 0), (1, 1)]
    with pytest.raises(ZeroDivisionError):
        [1 / i for i in track(range(2), "failing", 2)]
    list(track(range(2), "last", 2))
    assert shown == ["outer", "outer", "failing", "last"]
