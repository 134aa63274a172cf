"""The Redis connections for counting: one per thread, and all are closed."""

import gc
import threading

import redis

from vaultr.ratelimit.redis_scripts import ScriptRunner


def named_lines(redis_url, name):
    client = redis.Redis.from_url(redis_url, client_name=name, decode_responses=True)
    return client, ScriptRunner(client)


def open_under(client, name):
    return sum(one["name"] == name for one in client.client_list())


def test_ended_thread_closes_its_redis_connection(redis_url):
    client, lines = named_lines(redis_url, "lines-of-threads")

    threads = [threading.Thread(target=lines.run, args=("return 1", [], [])) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    with redis.Redis.from_url(redis_url, decode_responses=True) as onlooker:
        assert open_under(onlooker, "lines-of-threads") == 0
    client.close()


def test_connections_close_when_their_owner_is_deleted(redis_url):
    client, lines = named_lines(redis_url, "lines-of-an-app")
    lines.run("return 1", [], [])
    with redis.Redis.from_url(redis_url, decode_responses=True) as onlooker:
        before = open_under(onlooker, "lines-of-an-app")

        del lines
        gc.collect()

        assert (before, open_under(onlooker, "lines-of-an-app")) == (1, 0)
    client.close()
