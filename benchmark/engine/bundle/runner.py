"""Early exit with ONNX Runtime alone: python runner.py TEXT ... or PICTURE ...; see README.md."""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime


class EarlyExit:
    def __init__(self, folder=Path(__file__).parent, threads=1):
        self.folder, options = Path(folder), onnxruntime.SessionOptions()
        self.manifest = json.loads((self.folder / "manifest.json").read_text("utf-8"))
        options.intra_op_num_threads = threads
        graphs = [name for name in self.manifest["files"] if name.endswith(".onnx")]
        self.session = {name: onnxruntime.InferenceSession(self.folder / name, options) for name in graphs}

    def encode(self, samples):  # texts, pairs of texts, or files of pictures -> arrays by name, first axis the sample
        given, pixels = self.manifest["input"], []
        if given["kind"] == "text":
            from tokenizers import Tokenizer

            encoded = Tokenizer.from_file(str(self.folder / "tokenizer.json")).encode_batch(samples)
            return {name: np.array([getattr(one, of) for one in encoded]) for name, of in given["encodings"].items()}
        from PIL import Image

        for picture in (Image.open(sample).convert(given["mode"]) for sample in samples):
            if given["resize"] and picture.size != tuple(given["size"]):  # short side to `resize`, then the centre
                picture = picture.resize([int(given["resize"] * side / min(picture.size)) for side in picture.size], 3)
                left, top = (round((has - wants) / 2) for has, wants in zip(picture.size, given["size"]))
                picture = picture.crop((left, top, left + given["size"][0], top + given["size"][1]))
            pixels.append(np.array(picture, np.float32, ndmin=3).reshape(*given["size"][::-1], -1).transpose(2, 0, 1))
        return {"pixels": np.stack(pixels) / np.float32(255)}

    def run(self, values):  # arrays by name -> logits (n, C), exits (n,) in 1 ... E; exited samples cost nothing more
        rows, about = np.arange(len(next(iter(values.values())))), self.manifest
        logits, exits = np.empty((len(rows), len(about["classes"])), np.float32), rows + 1
        state = np.tile(np.array(about["state"], about["state_dtype"]), (len(rows), 1))
        for depth, stage in enumerate(about["stages"], 1):
            values = {**values, **self._call(stage["file"], values)}
            logits[rows], exits[rows] = values["columns"][:, : logits.shape[1]], depth
            if stage["rule"]:
                given = {"columns": values["columns"][:, slice(*about["reads"])], "state": state}
                found, limit = self._call(stage["rule"], given), np.float32(stage["threshold"])
                on = ~(found["signal"] >= limit if about["rising"] else found["signal"] < limit)
                rows, state = rows[on], found.get("next_state", state)[on]
                values = {name: values[source][on] for name, source in stage["next"].items()}
            if not len(rows):
                break
        return logits, exits

    def _call(self, file, values) -> dict:
        feeds = {one.name: values[one.name] for one in self.session[file].get_inputs()}
        return dict(zip([one.name for one in self.session[file].get_outputs()], self.session[file].run(None, feeds)))


if __name__ == "__main__":
    for sample, row, depth in zip(sys.argv[1:], *(model := EarlyExit()).run(model.encode(sys.argv[1:]))):
        print(f"{model.manifest['classes'][row.argmax()]}\texit {depth}\t{sample}")
