"""Bundles without the label language model, and exports that ask for one that is not there."""

from pathlib import Path

from safetensors.numpy import save_file

from tests.project import Project


def test_without_the_second_graph_explain_says_how_to_get_it(trained: Project, tmp_path: Path) -> None:
    project = trained.copy(tmp_path / "project")
    project.set(export={"refine_below": 0})
    output = project.ok("dvc", "repro")
    assert "Running stage 'export'" in output and "Running stage 'train'" not in output
    done = project.run("fpplm", "predict", "bundle", "-", "--explain", stdin="Anna Berg met IBM in Paris .\n")
    assert done.returncode == 5 and "export.refine_below" in done.stderr and done.stdout == ""


def test_a_second_graph_without_label_lm_is_an_error(trained: Project, tmp_path: Path) -> None:
    project = trained.copy(tmp_path / "project")
    save_file({}, project.path / "build/model/extras.safetensors")
    project.set(technique={"active": []})
    done = project.run("python", "-m", "tasks.export")
    assert done.returncode == 2 and "add label_lm to technique.active" in done.stderr
