"""Measure how well two kinds of requests can be distinguished by their responses."""

import random
import statistics


def auc(ones, others):
    """Return how often one of ``ones`` is greater than one of ``others``; 0.5 means no difference.

    This is the area under the curve of the best threshold classifier (Mann-Whitney).
    """
    ranked = sorted([(value, 1) for value in ones] + [(value, 0) for value in others])
    ranks, at = 0.0, 0
    while at < len(ranked):
        end = at
        while end < len(ranked) and ranked[end][0] == ranked[at][0]:
            end += 1
        middle = (at + 1 + end) / 2  # equal values share a rank
        ranks += middle * sum(kind for _, kind in ranked[at:end])
        at = end
    n, m = len(ones), len(others)
    return (ranks - n * (n + 1) / 2) / (n * m)


def features(pairs):
    """Return features of pairs of times, each as ``(of the ones, of the others)``.

    ``pairs`` are times of two requests that were sent one right after the other in random order: a
    delay of a busy machine mostly affects both.
    """
    ones, others = ([pair[place] for pair in pairs] for place in (0, 1))
    middle = statistics.median(ones + others)
    return {
        "time": (ones, others),
        "distance": ([abs(one - middle) for one in ones], [abs(one - middle) for one in others]),
        "difference": ([a - b for a, b in pairs], [b - a for a, b in pairs]),
    }


def telling(pairs):
    """Return the area for each feature; for the difference, count the pairs by their sign."""
    areas = {name: auc(*both) for name, both in features(pairs).items()}
    slower = sum(1.0 if a > b else 0.5 if a == b else 0.0 for a, b in pairs)
    areas["difference"] = slower / len(pairs)
    return areas


def interleaved(ask, ones, others):
    """Send both requests alternately, in random order; return the pairs of responses."""
    pairs = []
    for one, other in zip(ones, others, strict=True):
        both = [(0, one), (1, other)]
        random.shuffle(both)
        answers = {place: ask(subject) for place, subject in both}
        pairs.append((answers[0], answers[1]))
    return pairs


def distinguishable(measure, limit, rounds=3):
    """Measure; if a feature exceeds ``limit``, measure again; return features that still exceed it.

    A real difference appears in each round with the same sign; a delay of a busy machine does not.
    So a feature counts by the median of its rounds, with its sign.
    """
    seen = [measure()]
    if all(abs(area - 0.5) < limit - 0.5 for area in seen[0].values()):
        return {}
    seen += [measure() for _ in range(rounds - 1)]
    areas = {name: statistics.median(one[name] for one in seen) for name in seen[0]}
    return {name: area for name, area in areas.items() if abs(area - 0.5) >= limit - 0.5}
