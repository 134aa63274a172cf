"""Run `vaultr doctor` and read its findings."""

import json


def findings(device, *words, code=0, **more):
    result = device.types("doctor", "--json", *words, password=None, **more)
    assert result.returncode == code, (result.stdout, result.stderr)
    answer = json.loads(result.stdout)
    assert answer["ok"] is (code == 0)
    return {each["name"]: each for each in answer["findings"]}
