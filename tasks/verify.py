"""verify: every graph against torch, over dev and test in the serving code; the bundle of those that pass on dev."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from fpplm.pipeline import paths, stage
from fpplm.pipeline.timing import Timing, TimingReport, machine, measure
from fpplm.registry.lineage import manifest_facts
from fpplm.report.console import client_lines, verdict_lines
from fpplm.report.page import render
from fpplm_core.data.corpus import CorpusParts
from fpplm_core.export.bundle_writer import assemble, graph_sizes, make_config
from fpplm_core.export.generic_client import measure_clients
from fpplm_core.export.parity import TorchAnswer, served_f1, try_label_lm, verify_graphs, with_documents
from fpplm_core.export.reference import reference_sketch
from fpplm_core.export.verdicts import VerifyReport, require_fp32
from fpplm_core.files import write_record
from fpplm_core.model.blueprint import load_decoder, read_blueprint
from fpplm_core.params import Params
from fpplm_core.serving import Predictor


def verify(params: Params) -> None:
    blueprint, decoder = read_blueprint(paths.MODEL), load_decoder(paths.MODEL)
    dev, test = (TorchAnswer.of(split, paths.CORPUS, paths.PREDICTIONS) for split in ("dev", "test"))
    sizes = graph_sizes(paths.GRAPHS)
    config = make_config(decoder, blueprint.first_shape, params.data, params.encode, params.export, sizes)
    first_dev, first_test = (next(iter(answer.parts)) for answer in (dev, test))
    write = partial(assemble, paths.BUNDLE, paths.GRAPHS, paths.ENCODED / "tokenizer.json", first_test)
    timed, timings = with_documents([*first_dev, *first_test]), list[Timing]()
    write(config, facts := manifest_facts(params))
    verdicts, failures = verify_graphs(
        paths.BUNDLE, dev, test, params.verify, lambda p: timings.append(measure(p, *timed))
    )
    report = VerifyReport.of(verdicts, sizes, failures)
    write_record(paths.METRICS / "verify.json", report)
    write_record(paths.REPORTS / "timings" / "verify.json", TimingReport(machine(), timings))
    print(*verdict_lines(verdicts, timings), sep="\n")
    require_fp32(report)
    config = replace(config, variants=report.by_device(config.variants))
    serving = Predictor.load(paths.BUNDLE, "cpu", config.variants["cpu"][0])
    if params.export.refine_below:
        trial = try_label_lm(serving, dev.parts)
        print(f"label language model: served dev F1 {trial.dev_f1:.4f}, with it {trial.dev_f1_refined:.4f}")
        report, config = replace(report, label_lm=trial), replace(config, use_label_lm=trial.used)
    held_out = dev.parts, test.parts
    clients = measure_clients(paths.BUNDLE, report.kept, *held_out)
    report = replace(report, served=served_f1(serving, test.parts), clients=clients)
    write_record(paths.METRICS / "verify.json", report)
    write(config, facts | report.facts, reference_sketch(serving, CorpusParts("train", paths.CORPUS), *held_out))
    print(*client_lines(clients), f"bundle: {paths.BUNDLE} with {', '.join(report.kept)}\nreport: {render()}", sep="\n")


if __name__ == "__main__":
    stage.run(verify)
