#!/usr/bin/env bash
# Measures trainkit on a machine with a GPU, from a checkout, and writes benchmarks/results/gpu/:
# the tests marked gpu, throughput beside the other ways to train, precisions, and the GPU's name.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
make .venv/.installed-dev .venv/.installed-gpu .venv/.installed-bench
python=.venv/bin/python
out=benchmarks/results/gpu
mkdir -p "$out"
if ! $python -c 'import tensorflow as tf; assert tf.config.list_physical_devices("GPU")'; then
    echo "TensorFlow sees no GPU; nothing is measured." >&2
    exit 1
fi
nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv > "$out/device.csv"
$python -m pytest -m gpu -q | tee "$out/tests.txt"
$python -m benchmarks.throughput --rounds 3 --output "$out" | tee "$out/throughput.txt"
$python -m benchmarks.models --rounds 2 --output "$out/models.json" | tee "$out/models.txt"
for precision in float32 mixed_bfloat16 mixed_float16; do
    $python -m trainkit task=mnist "trainer.precision=$precision" \
        "run_dir=$out/runs/$precision" progress=plain
done | tee "$out/precision.txt"
