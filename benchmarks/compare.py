"""foldwise against a straight PyTorch script: the same networks, settings and folds; scores and seconds of both.

    python benchmarks/compare.py [--only classification|segmentation] [--keep FOLDER]

Both get the same phantom pictures and one thread. The straight script is timed without its imports; foldwise is
timed twice: the fits alone (training and evaluation, as the run records them), and the whole command with audit,
statistics and report.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from foldwise.data.phantoms.catalogue import make

HERE = Path(__file__).parent
CLASSIFICATION = """
study: bench-classification
threads: 1
data: {path: pictures, channels: gray}
train:
  model: "timm:resnet10t"
  optimizer: {adamw: {lr: 0.002}}
  augment: flips
  epochs: 10
  batch_size: 16
validate: {folds: 3, group: group}
judge: {metric: balanced_accuracy, select: log_loss}
"""
SEGMENTATION = """
study: bench-segmentation
threads: 1
data: {path: pictures}
train:
  model: {unet: {width: 16}}
  loss: cross_entropy
  optimizer: {adamw: {lr: 0.002}}
  augment: flips
  epochs: 8
  batch_size: 8
validate: {folds: 3, group: group}
judge: {metric: dice_img_macro, select: dice_img_macro}
"""
BENCHES = {
    "classification": (CLASSIFICATION, {"kind": "gels", "images": 180, "size": 64, "difficulty": 0.2}),
    "segmentation": (SEGMENTATION, {"kind": "bacteria", "images": 48, "size": 96, "difficulty": 0.5}),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", choices=list(BENCHES))
    parser.add_argument("--keep", type=Path, help="work in this folder, and leave everything there")
    asked = parser.parse_args()
    slower = []
    with tempfile.TemporaryDirectory(prefix="foldwise-bench-") as scratch:
        for name in [asked.only] if asked.only else BENCHES:
            folder = (asked.keep or Path(scratch)) / name
            folder.mkdir(parents=True, exist_ok=True)
            slower.append(not bench(name, folder))
    return int(any(slower))


def bench(name, folder):
    """Run both, print what they gave; whether the scores agree and foldwise's fits were not slower."""
    text, phantom = BENCHES[name]
    if not (folder / "pictures").exists():
        make(
            phantom["kind"], folder / "pictures", **{k: v for k, v in phantom.items() if k != "kind"}, seed=0
        )
    (folder / "study.yaml").write_text(text.lstrip(), encoding="utf-8")
    run = folder / "runs" / f"bench-{name}"
    whole_s = timed(
        [sys.executable, "-m", "foldwise", "run", "study.yaml", "--workers", "1", "--device", "cpu"], folder
    )
    verdict = json.loads((run / "verdict.json").read_text(encoding="utf-8"))
    ours = verdict["configurations"][0]
    results = [
        json.loads(path.read_text(encoding="utf-8"))
        for path in sorted((run / "done").glob("fit-*/result.json"))
    ]
    fits_s = sum(result["cost"]["train_s"] + result["cost"]["evaluate_s"] for result in results)
    script = HERE / f"straight_{name}.py"
    done = subprocess.run(
        [sys.executable, str(script), str(run), ours["id"], str(folder / "pictures")],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{script.name} failed:\n{done.stderr}")
    straight = json.loads(done.stdout.splitlines()[-1])
    agree = ours["low"] <= straight["mean"] <= ours["high"]
    ratio = fits_s / straight["seconds"]
    print(f"{name}: {phantom['images']} {phantom['kind']} of {phantom['size']} px, {ours['name']}")
    print(
        f"  foldwise  {ours['estimate']:.3f} [{ours['low']:.3f}, {ours['high']:.3f}], fits {fits_s:.1f} s, whole command {whole_s:.1f} s"
    )
    print(f"  straight  {straight['mean']:.3f}, {straight['seconds']:.1f} s")
    print(
        f"  ratio     {ratio:.2f} (fits), {whole_s / straight['seconds']:.2f} (whole command); below 1: foldwise is faster"
    )
    print(
        f"  scores    {'agree' if agree else 'DISAGREE'}: the straight mean is {'within' if agree else 'outside'} the interval",
        flush=True,
    )
    return agree and ratio <= 1.1


def timed(command, folder):
    started = time.perf_counter()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}\n{done.stderr}")
    return time.perf_counter() - started


if __name__ == "__main__":
    sys.exit(main())
