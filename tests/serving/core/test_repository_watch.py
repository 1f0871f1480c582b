"""What a running gateway makes of a repository and a `models.config` that change under it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from keras_archs.repository.models_config import CONFIG
from serving.core.errors import ModelNotFoundError, ModelUnavailableError
from serving.core.repository_watch import RepositoryWatch
from tests.support.fake_runtime import publish

ENTRY = "config { name: 'net' model_version_policy { specific { versions: 1 } } }"
CONFIGURED = f"model_config_list {{ {ENTRY} }}"
LOGGER = "serving.core.repository_watch"


class Watched(RepositoryWatch):
    """A watch whose reads a test counts."""

    reads = 0

    async def on_poll(self) -> None:
        self.reads += 1

    async def read_again(self, times: int = 2) -> None:
        """Wait until the repository has been read this many times."""
        target = self.reads + times + 1  # the read that is under way may have begun before the change
        async with asyncio.timeout(10):
            while self.reads < target:  # noqa: ASYNC110  the watch does not announce reads
                await asyncio.sleep(0.002)


@contextlib.asynccontextmanager
async def watching(repository: Path) -> AsyncIterator[Watched]:
    watch = Watched(repository, poll_seconds=0.002)
    await watch.start(watch.on_poll)
    try:
        yield watch
    finally:
        await watch.close()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with versions 1 and 2 of `net`, of which `models.config` serves version 1."""
    for version in (1, 2):
        publish(tmp_path, "net", version)
    (tmp_path / CONFIG).write_text(CONFIGURED)
    return tmp_path


def served(watch: RepositoryWatch) -> list[int]:
    return list(watch.entries["net"].versions)


def log_lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == LOGGER]


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        (lambda path: path.write_text(""), "models.config is empty"),
        (lambda path: path.write_text("# comments only\n"), "models.config is empty"),
        (lambda path: path.write_text("modle_config_list {}"), "models.config cannot be read"),
        (lambda path: path.write_text(CONFIGURED[:-9]), "models.config cannot be read"),  # half written
        (lambda path: path.write_text(f"model_config_list {{ {2 * ENTRY} }}"), "more than one entry for net"),
        (lambda path: (path.unlink(), path.mkdir()), "models.config cannot be read: Is a directory"),
    ],
)
def test_a_spoilt_models_config_changes_nothing_and_is_reported_once(
    repository: Path, caplog: pytest.LogCaptureFixture, spoil: Callable[[Path], object], error: str
) -> None:
    async def scenario() -> None:
        async with watching(repository) as watch:
            spoil(repository / CONFIG)
            await watch.read_again(5)
            assert served(watch) == [1]
            assert watch.not_ready_reason() is None
            assert watch.error is not None and error in watch.error
            (line,) = log_lines(caplog)
            assert error in line and line.endswith("; still serving the models of the last successful read")

    asyncio.run(scenario())


def test_a_gateway_that_starts_with_a_spoilt_models_config_says_why_it_is_not_ready(repository: Path) -> None:
    async def scenario() -> None:
        for content, reason in (("", "models.config is empty"), ("typo", "models.config cannot be read")):
            (repository / CONFIG).write_text(content)
            async with watching(repository) as watch:
                assert watch.not_ready_reason() is not None and reason in (watch.not_ready_reason() or "")
                (repository / CONFIG).write_text(CONFIGURED)
                await watch.read_again()
                assert watch.not_ready_reason() is None

    asyncio.run(scenario())


def test_a_list_without_models_serves_none_and_says_so(repository: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with watching(repository) as watch:
            (repository / CONFIG).write_text("model_config_list {}")
            await watch.read_again()
            assert watch.not_ready_reason() is not None
            assert "models.config names no model" in (watch.not_ready_reason() or "")
            assert log_lines(caplog) == ["net is no longer served"]

    asyncio.run(scenario())


def test_a_models_config_that_an_editor_moves_away_for_a_moment_changes_nothing(repository: Path) -> None:
    async def scenario() -> None:
        watch = RepositoryWatch(repository, poll_seconds=1)
        await watch.read()
        (repository / CONFIG).rename(repository / "models.config~")
        await watch.read()
        assert served(watch) == [1]
        (repository / CONFIG).write_text(CONFIGURED)
        await watch.read()
        assert served(watch) == [1]
        (repository / CONFIG).unlink()  # removed for good
        await watch.read()
        assert served(watch) == [1]
        await watch.read()
        assert served(watch) == [1, 2]

    asyncio.run(scenario())


def test_problems_are_logged_once_and_forgotten_when_they_are_mended(
    repository: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        circle = repository / "net" / "3"
        async with watching(repository) as watch:
            circle.symlink_to(circle)
            await watch.read_again(5)
            problem = "version 3 cannot be read: Too many levels of symbolic links"
            assert watch.problems == {"net": (problem,)}
            assert log_lines(caplog) == [f"net: {problem}"]
            circle.unlink()
            await watch.read_again()
            assert watch.problems == {}

    asyncio.run(scenario())


def test_a_model_with_problems_only_is_unavailable_and_an_unknown_model_is_not_found(tmp_path: Path) -> None:
    async def scenario() -> None:
        publish(tmp_path, "net", 1)
        (tmp_path / "other").symlink_to(tmp_path / "other")
        async with watching(tmp_path) as watch:
            assert watch.not_ready_reason() is None
            with pytest.raises(ModelUnavailableError, match="other cannot be served: its folder cannot be read"):
                watch.entry("other")
            with pytest.raises(ModelNotFoundError):
                watch.entry("unknown")
            (tmp_path / "net").rename(tmp_path / ".net")
            await watch.read_again()
            assert watch.not_ready_reason() == (
                "no model can be served: other: its folder cannot be read: Too many levels of symbolic links"
            )

    asyncio.run(scenario())


def test_a_repository_that_vanishes_changes_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        repository = tmp_path / "models"
        publish(repository, "net", 1)
        async with watching(repository) as watch:
            repository.rename(tmp_path / "gone")
            await watch.read_again()
            assert watch.error == "there is no model repository at the configured path"
            assert set(watch.entries) == {"net"} and watch.not_ready_reason() is None
            repository.symlink_to(repository)
            await watch.read_again()
            assert set(watch.entries) == {"net"} and str(tmp_path) not in (watch.error or "")

    asyncio.run(scenario())
