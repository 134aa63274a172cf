"""A server that returns the responses that a test lists."""

from dataclasses import replace

import httpx2

from vaultr.client.transport.http_transport import RETRIES, Transport

JSON = {"Content-Type": "application/json"}


def answer(status=200, content=b"{}", **headers):
    return lambda: httpx2.Response(status, headers=JSON | headers, content=content)


class Server:
    """Returns the test's responses, one per request, and stores the requests."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.requests = []
        self.waited = []

    def __call__(self, request):
        self.requests.append(request)
        following = self.answers.pop(0)
        if isinstance(following, Exception):
            raise following
        return following()

    def transport(self):
        return Transport(
            "https://vault.example",
            transport=httpx2.MockTransport(self),
            retries=replace(RETRIES, sleep=self.waited.append),
            answer_bytes=1000,
        )
