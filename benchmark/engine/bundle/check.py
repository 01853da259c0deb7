"""Whether this folder is unchanged and gives here what was measured: python check.py"""

import hashlib
import json
import sys

import numpy as np


def main():
    from runner import EarlyExit  # beside this file

    model = EarlyExit()
    changed = [
        name
        for name, sha256 in model.manifest["files"].items()
        if hashlib.sha256((model.folder / name).read_bytes()).hexdigest() != sha256
    ]
    if changed:
        sys.exit(f"changed since the export: {', '.join(changed)}")
    wanted = json.loads((model.folder / "check.json").read_text("utf-8"))
    values = model.encode(wanted["texts"]) if "texts" in wanted else dict(np.load(model.folder / "check.npz"))
    scaled = {name: one / np.float32(255) if one.dtype == np.uint8 else one for name, one in values.items()}
    logits, exits = model.run(scaled)
    equal = (logits.argmax(1) == wanted["answers"]) & (exits == wanted["exits"])
    print(f"{equal.sum()} of {len(equal)} samples have the answer and the exit that were measured")
    sys.exit(int(not equal.all()))


if __name__ == "__main__":
    main()
