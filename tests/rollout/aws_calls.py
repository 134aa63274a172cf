"""Call AWS for a test with the boto3 of `.tools`: lines of JSON in, lines of JSON out."""

import json
import sys

import boto3
from botocore.exceptions import ClientError

clients = {}
for line in sys.stdin:
    service, method, arguments = json.loads(line)
    client = clients.setdefault(service, boto3.client(service))
    try:
        found = getattr(client, method)(**arguments)
    except ClientError as error:
        found = {"error": error.response["Error"]["Code"]}
    sys.stdout.write(json.dumps(found, default=str) + "\n")
    sys.stdout.flush()
