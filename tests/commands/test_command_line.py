from __future__ import annotations

import pytest

from agent.commands import VERBS, main


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "missing command (see: acusight-agent --help)"),
        (["--frob"], "no such option '--frob'"),
        (["frob"], "no such command 'frob' (see: acusight-agent --help)"),
        (["run", "--twice"], "no such option '--twice'"),
        (["upload"], "missing argument 'FILES...' (see: acusight-agent upload --help)"),
        (["upload", "gone\n.jpg"], "does not exist (see: acusight-agent upload --help)"),
        (["upload", "--timeout", "nan", __file__], "invalid value for '--timeout'"),
        (["config", "frob"], "no such command 'frob' (see: acusight-agent config --help)"),
        (["-c"], "option '-c' requires an argument"),
    ],
)
def test_a_wrong_command_line_is_one_sentence(
    capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    """It says what is wrong and where to look it up, on one line of standard error, with status 2."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    said = capsys.readouterr()
    assert ended.value.code == 2
    assert said.out == ""
    assert said.err.startswith("acusight-agent: ")
    assert sentence in said.err
    assert said.err.count("\n") == 1


@pytest.mark.parametrize("verb", ["", *VERBS])
def test_every_verb_explains_itself(capsys: pytest.CaptureFixture[str], verb: str) -> None:
    """`--help` has an example, and ends with 0."""
    with pytest.raises(SystemExit) as ended:
        main([*verb.split(), "--help"])
    assert ended.value.code == 0
    assert "Example" in capsys.readouterr().out
