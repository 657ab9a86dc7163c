"""check: every check and the project's own expectations over the splits; errors stop the pipeline and list the rows."""

from __future__ import annotations

from dataclasses import asdict

from fpplm.checks.console import show
from fpplm.checks.validation import check_corpus
from fpplm.pipeline import paths, stage
from fpplm_core.data.corpus import INFO, SPLITS, CorpusInfo, open_corpus
from fpplm_core.data.settings import DataSettings, EncodeSettings
from fpplm_core.errors import CheckFailed
from fpplm_core.files import read_record, write_json
from fpplm_core.model.settings import ModelSettings
from fpplm_core.quality.settings import CheckSettings

PAGE = paths.REPORTS / "data_docs"  # its index.html


def check(data: DataSettings, check: CheckSettings, model: ModelSettings, encode: EncodeSettings) -> None:
    corpus = {split: open_corpus(split, paths.CORPUS) for split in SPLITS}
    info = read_record(paths.CORPUS / INFO, CorpusInfo)
    report = check_corpus(corpus, info.scheme, check, model, encode, PAGE, types=data.types)
    reading = {kind: asdict(change) for kind, change in info.changes.items()}
    about = {"scheme": f"{info.scheme}: {info.evidence}", "reading": reading}
    write_json(paths.METRICS / "check.json", asdict(report) | about)
    show(report)
    if report.errors:
        raise CheckFailed(
            f"{report.errors} kind(s) of error in the data",
            where=data.path,
            do=f"correct the rows above (more of them: {PAGE}/index.html), or lower check.severity in params.yaml",
        )


if __name__ == "__main__":
    stage.run(check)
