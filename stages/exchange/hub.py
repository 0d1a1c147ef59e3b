"""The Hugging Face hub: directories are pushed to it, adapters are downloaded from it."""

from pathlib import Path

from huggingface_hub import HfApi

from stages.core.errors import foreign_code
from stages.exchange.peft_write import CONFIG, ORIGIN, WEIGHTS


def push(directory: Path, repository: str, api: HfApi) -> str:
    """Upload the files of a directory in one commit, and return its address. A new repository is private.

    Raises UserError if the hub cannot be reached or refuses.
    """
    with foreign_code(
        f"{directory} is written, but cannot be pushed to {repository}: are network and token (`hf auth login`) there?"
    ):
        api.create_repo(repository, private=True, exist_ok=True)
        return str(
            api.upload_folder(repo_id=repository, folder_path=directory, commit_message="Export of a trained run")
        )


def download(repository: str, revision: str | None, api: HfApi) -> Path:
    """The directory of an adapter's files, downloaded to the hub's cache; no other file is taken.

    `revision`: branch, tag or commit; None: the repository's main branch. Raises UserError if they cannot be had.
    """
    with foreign_code(
        f"cannot download {repository} from the Hugging Face hub: download it elsewhere and give its directory"
    ):
        return Path(api.snapshot_download(repository, revision=revision, allow_patterns=[CONFIG, WEIGHTS, ORIGIN]))
