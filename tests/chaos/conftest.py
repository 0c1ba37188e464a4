"""Chaos on a cluster takes minutes: its tests are looked for only where they are asked for, by `make chaos`; of the others a few."""

import os

collect_ignore_glob = [] if os.environ.get("FOLDWISE_CHAOS") else ["test_slurm_chaos.py"]
