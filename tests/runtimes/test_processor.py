"""The processor: its name, and the time that this process waited for it."""

from __future__ import annotations

from pathlib import Path

from keras_archs.runtimes.processor import processor_name, seconds_waited


def files(root: Path, content: dict[str, str]) -> Path:
    for name, text in content.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_processors_with_the_same_name_are_told_apart(tmp_path: Path) -> None:
    text = "processor\t: 0\ncpu family\t: 6\nmodel\t\t: {}\nmodel name\t: Intel(R) Xeon(R) Processor\nstepping\t: 1\n\n"
    ice_lake, sapphire_rapids = (
        processor_name(files(tmp_path / str(model), {"proc/cpuinfo": text.format(model) * 2})) for model in (106, 143)
    )
    assert ice_lake == "Intel(R) Xeon(R) Processor (family 6, model 106, stepping 1)"
    assert sapphire_rapids == "Intel(R) Xeon(R) Processor (family 6, model 143, stepping 1)"


def test_a_processor_without_numbers_has_its_name(tmp_path: Path) -> None:
    assert processor_name(files(tmp_path, {"proc/cpuinfo": "model name : Cortex\n"})) == "Cortex"


def test_another_system_than_linux_names_the_processor_in_its_own_way(tmp_path: Path) -> None:
    assert processor_name(tmp_path)


def test_the_waiting_of_all_threads_is_added_up(tmp_path: Path) -> None:
    content = {"1": "900 1500000000 7\n", "2": "100 500000000 9\n", "3": "a thread that ends"}
    root = files(tmp_path, {f"proc/self/task/{thread}/schedstat": text for thread, text in content.items()})
    assert seconds_waited(root) == 2.0


def test_waiting_is_unknown_where_the_system_does_not_tell(tmp_path: Path) -> None:
    assert seconds_waited(tmp_path) is None
