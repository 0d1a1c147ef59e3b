"""Put the pretrained models where the single run finds them, data/base, to be committed with a review.

No stage: a bare `dvc repro` must use the released models and never pretrain one.
"""

import shutil
from pathlib import Path

from stages.errors import UserError, entry_point
from stages.files import replacing
from stages.params import BASE
from stages.pretrain import denoise, train


def release(model: Path) -> None:
    if not (model / "model.safetensors").exists():
        raise UserError(f"{model} holds no model: dvc repro stages/pretrain/dvc.yaml first")
    with replacing(BASE / model.name) as released:
        shutil.copytree(model, released)
    print(f"released {BASE / model.name}")


@entry_point
def main() -> None:
    for model in (train.OUT, denoise.OUT):
        release(model)


if __name__ == "__main__":
    main()
