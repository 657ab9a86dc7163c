"""verify: assembles the bundle and runs every graph through the serving code over dev and test.

The float32 graph must give torch's spans; another variant may lose a little F1, or it is left out of the bundle.
"""

from __future__ import annotations

import json
import platform
from typing import Any

import numpy as np

from fpplm.pipeline.paths import BUNDLE, GRAPHS, METRICS, MODEL, PREDICTIONS, REPORTS
from fpplm.pipeline.stage import run
from fpplm.pipeline.timing import measure
from fpplm.registry.lineage import lineage
from fpplm.report.page import render
from fpplm_core.data.corpus import load_corpus
from fpplm_core.errors import FpplmError
from fpplm_core.export.bundle_writer import PREFERENCE, assemble
from fpplm_core.export.parity import accept, judge, try_label_lm
from fpplm_core.files import read_json, write_json
from fpplm_core.params import load
from fpplm_core.serving import Predictor
from fpplm_core.serving.bundle import graph_name
from fpplm_core.serving.onnx_session import is_available
from fpplm_core.tagging.decoder import SpanDecoder
from fpplm_core.tagging.spans import spans_from_tags

JUDGED = ("dev", "test")  # together: what rounding changes is a few mentions, which one split's F1 shows as noise


def main() -> None:
    settings = load()
    blueprint = read_json(MODEL / "blueprint.json")
    sentences = [s for split in JUDGED for s in load_corpus(split)]
    words = [s.words for s in sentences]
    gold = [spans_from_tags(s.tags) for s in sentences]
    decoder = SpanDecoder(blueprint["labels"], np.load(MODEL / "transitions.npy"))
    answers = np.concatenate([np.load(PREDICTIONS / f"{split}_logits.npy") for split in JUDGED])
    reference = np.split(answers, np.cumsum([len(w) for w in words])[:-1])
    made = [v for v in ("fp32", "fp16", "int8", "mixed") if (GRAPHS / graph_name(v)).exists()]
    facts = lineage(settings)

    assemble(made, blueprint, decoder, settings, facts)
    judged = {}
    timings = []
    wanted = decoder.spans(reference)
    for device, variants in PREFERENCE.items():
        for variant in (v for v in variants if v in made):
            if device == "cuda" and not is_available("cuda"):
                continue
            predictor = Predictor.load(BUNDLE, device, variant)
            logits = predictor.logits(words, [s.document for s in sentences])
            timings.append({"device": device, "variant": variant, **measure(predictor, words)})
            verdict = judge(logits, reference, wanted, gold, decoder)
            judged[f"{variant} on {device}"] = verdict | accept(variant, verdict, settings)
    refused = {name.split()[0] for name, verdict in judged.items() if not verdict["accepted"]}
    sizes = {v: (GRAPHS / graph_name(v)).stat().st_size for v in made}
    write_json(METRICS / "verify.json", {"variants": judged, "bytes": sizes, "refused": sorted(refused)})
    write_json(
        REPORTS / "timings" / "verify.json", {"machine": platform.processor() or platform.machine(), "runs": timings}
    )
    show(judged, timings)
    if "fp32" in refused:
        raise FpplmError(
            "the exported graph does not give torch's answer",
            where="verify",
            got=json.dumps(judged["fp32 on cpu"]),
            do="report the encoder; or raise verify.max_logit_delta if the spans agree",
        )
    spare = {"mixed"} if "int8" not in refused else set()  # it stands in for int8
    kept = [v for v in made if v not in refused | spare]
    assemble(kept, blueprint, decoder, settings, facts | {"variants": judged})
    if settings.export.refine_below:
        outcome = try_label_lm()
        write_json(METRICS / "verify.json", read_json(METRICS / "verify.json") | {"label_lm": outcome})
        if outcome["used"]:
            assemble(kept, blueprint, decoder, settings, facts | {"variants": judged, "label_lm": outcome}, refine=True)
    print(f"bundle: {BUNDLE} with {', '.join(kept)}")
    print(f"report: {render()}")


def show(judged: dict[str, Any], timings: list[dict[str, Any]]) -> None:
    for row in timings:
        verdict = judged[f"{row['variant']} on {row['device']}"]
        print(
            f"{row['variant']} on {row['device']}: F1 {verdict['f1']:.4f} (loss {verdict['f1_loss']:+.4f}), "
            f"max |Δlogit| {verdict['max_logit_delta']:.2g}, {row['words_per_s']:,.0f} words/s, "
            f"{row['latency_ms']:.1f} ms a sentence: {'accepted' if verdict['accepted'] else 'LEFT OUT'}"
        )


if __name__ == "__main__":
    run(main)
