"""Files of repositories on the Hugging Face hub, pinned on the first download.

No revision, size or hash is shipped with this project. On the first get the hub itself is asked
for them: the commit that a repository is at, and the size and sha256 of every file in it. They are
written into `source.json`, and from then on that commit is fetched and those numbers are checked.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from emo2.errors import InputError, MissingCheckpoint
from emo2.types import OnStep
from emo2.weights.download import fetch

LOCK_NAME = "source.json"


@dataclass(frozen=True)
class HubFile:
    """One file of one commit."""

    repository: str
    revision: str
    """The commit's full hash."""
    path: str
    size: int | None
    """Bytes."""
    sha256: str | None
    """None for small files, which the hub keeps without one."""


@dataclass(frozen=True)
class Lock:
    """What was pinned, and what the hub says about licences."""

    files: tuple[HubFile, ...]
    licences: Mapping[str, str | None]
    """By repository, as its model card says; None where it says nothing."""

    def named(self, repository: str, path: str) -> HubFile:
        """A file by its name in its repository."""
        return next(f for f in self.files if (f.repository, f.path) == (repository, path))

    def write(self, path: Path) -> None:
        """Save as JSON, whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        value = {"licences": dict(self.licences), "files": [asdict(f) for f in self.files]}
        part = path.with_name(f".{path.name}.partial")
        part.write_text(json.dumps(value, indent=2) + "\n")
        part.replace(path)

    @classmethod
    def read(cls, path: Path) -> Lock:
        """Raises `MissingCheckpoint` for a file that is not a lock."""
        try:
            value = json.loads(path.read_text())
            return cls(tuple(HubFile(**entry) for entry in value["files"]), value["licences"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            rule, remedy = "must be a lock of pinned files", "Delete it and get the set again."
            raise MissingCheckpoint("weights", rule, f"{path} ({error})", remedy) from error


def pinned(
    path: Path,
    wanted: Mapping[str, Sequence[str]],
    revisions: Mapping[str, str],
    endpoint: str | None = None,
) -> Lock:
    """The lock at `path`; made, where it is not there or another revision is asked for.

    Args:
        wanted: files by repository.
        revisions: a branch, tag or commit by repository; the others are taken as they are now, and
            stay so.
        endpoint: another hub, such as a mirror; `HF_ENDPOINT` says it as well.

    Raises:
        InputError: the hub cannot be reached or lacks what is wanted.
    """
    names = {(repo, name) for repo, files in wanted.items() for name in files}
    if path.is_file():
        lock = Lock.read(path)
        same = all(f.revision == revisions.get(f.repository, f.revision) for f in lock.files)
        if same and names <= {(f.repository, f.path) for f in lock.files}:
            return lock
    files: list[HubFile] = []
    licences = {}
    for repository, paths in wanted.items():
        info = _ask(repository, revisions.get(repository), endpoint)
        licences[repository] = (info.card_data or {}).get("license")
        files += _of(info, repository, paths)
    lock = Lock(tuple(files), licences)
    lock.write(path)
    return lock


def download(
    file: HubFile, folder: Path, endpoint: str | None = None, on_step: OnStep | None = None
) -> Path:
    """Fetch one pinned file below `folder`; goes on where it stopped. Raises as `fetch`."""
    from huggingface_hub import hf_hub_url

    url = hf_hub_url(file.repository, file.path, revision=file.revision, endpoint=endpoint)
    place = folder / file.repository.replace("/", "--") / file.revision[:12] / file.path
    return fetch(url, place, sha256=file.sha256, size=file.size, on_step=on_step)


def _ask(repository: str, revision: str | None, endpoint: str | None):
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HTTPError, OfflineModeIsEnabled

    where = endpoint or "the Hugging Face hub"
    try:
        return HfApi(endpoint=endpoint).model_info(
            repository, revision=revision, files_metadata=True, timeout=60
        )
    except OfflineModeIsEnabled as error:
        rule, remedy = "needs the network", "Unset HF_HUB_OFFLINE and run the command again."
        raise InputError("download", rule, f"HF_HUB_OFFLINE for {repository}", remedy) from error
    except HfHubHTTPError as error:
        said = f"{repository} at {revision or 'its newest'} on {where}"
        code = getattr(error.response, "status_code", "no answer")
        remedy = "Check --revision, or try again later."
        raise InputError(
            "download", "must be on the hub", f"{said} (HTTP {code})", remedy
        ) from error
    except (HTTPError, OSError) as error:
        raise InputError(
            "download",
            f"needs a connection to {where}",
            f"{type(error).__name__}: {error}",
            "Check the network or its proxy and run the command again: it goes on where it "
            "stopped. HF_ENDPOINT names a mirror.",
        ) from error


def _of(info, repository: str, paths: Sequence[str]) -> Iterator[HubFile]:
    there = {sibling.rfilename: sibling for sibling in info.siblings or ()}
    for path in paths:
        if path not in there:
            raise InputError(
                "download",
                f"must hold {path}",
                f"{repository} at {info.sha} with {len(there)} files",
                "Name a --revision that has it.",
            )
        found = there[path]
        sha256 = found.lfs.sha256 if found.lfs else None
        yield HubFile(repository, info.sha, path, found.size, sha256)
