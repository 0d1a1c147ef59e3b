"""Put the pretrained model where the single run finds it, data/base, to be committed with a review.

No stage: a bare `dvc repro` must use the released model and never pretrain one.
"""

import shutil

from stages.errors import UserError, entry_point
from stages.files import replacing
from stages.params import BASE
from stages.pretrain.train import OUT


@entry_point
def main() -> None:
    if not (OUT / "model.safetensors").exists():
        raise UserError(f"{OUT} holds no model: dvc repro stages/pretrain/dvc.yaml first")
    with replacing(BASE / OUT.name) as released:
        shutil.copytree(OUT, released)
    print(f"released {BASE / OUT.name}")


if __name__ == "__main__":
    main()
