"""docs/aws-transcript.md is the output of its script."""

from tests.rollout import aws_transcript


def test_documented_transcript_matches_script_output(tmp_path):
    found = aws_transcript.written(tmp_path)

    page = aws_transcript.PAGE.read_text()
    assert aws_transcript.normalized(found) == aws_transcript.normalized(page)
    for expected in ("bad1", "set back to the version before", "daily-2026-01-10\nexit 0"):
        assert expected in page
