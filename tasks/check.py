"""check: Great Expectations over the tables of fpplm_core/quality; errors stop the pipeline, with the rows listed."""

from __future__ import annotations

from fpplm.checks.console import show
from fpplm.checks.validation import check
from fpplm.pipeline.paths import CORPUS, METRICS, REPORTS
from fpplm.pipeline.stage import run
from fpplm_core.data.corpus import SPLITS, open_corpus
from fpplm_core.errors import CheckFailed
from fpplm_core.files import read_json, write_json
from fpplm_core.params import load

DATA_DOCS = REPORTS / "data_docs"


def main() -> None:
    settings = load()
    corpus = {split: open_corpus(split) for split in SPLITS}
    read = read_json(CORPUS / "corpus.json")
    verdict = check(corpus, read["scheme"], settings, DATA_DOCS)
    verdict |= {"scheme": f"{read['scheme']}: {read['evidence']}", "reading": read["changes"]}
    write_json(METRICS / "check.json", verdict)
    show(verdict)
    if verdict["errors"]:
        raise CheckFailed(
            f"{verdict['errors']} kind(s) of error in the data",
            where=settings.data.path,
            do=f"mend the rows above (more of them: {DATA_DOCS}/index.html), or lower check.NAME in params.yaml",
        )


if __name__ == "__main__":
    run(main)
