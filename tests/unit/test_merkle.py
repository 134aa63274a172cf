"""The Merkle tree: known answers, and a second, iterative checker that follows RFC 9162."""

import hashlib
import hmac
import random

import pytest

from tests.harness.consistency_proofs import consistency_holds
from vaultr.protocol import merkle
from vaultr.protocol.merkle import Frontier, MerkleProofInvalid

WRITER = bytes(range(16))
SUBJECTS = ["", "user-1", "user-1", "user-2"]
TYPES = ["writer.start", "auth.login.ok", "item.update", "item.read"]
EVENTS = [
    "b0b8e96a427bd6ad117a5ebd49eba26a4b1abee7b81778a9286481cdcb0bd110",
    "4bd00090df201ab3cae23a0d3bcecfeab39a73097211912c9cf1992d87062935",
    "986b69de4c50288cf8cf7c4af7e77bb762f1e0ae2f3e3135121012f4f683dce1",
    "6253a114f8f28de9fe4b14791f8ed31c60154ca6cf5c79fe20aee7f68576083e",
]
LEAVES = [
    "8c14365260ef49086aff5e072002d0a939026bc80cf250f91934d0be7bc95e4b",
    "e72a02283ae36d0317a6587b658ff03e9fbfc2eb7fbeeb665644c7115efd53b1",
    "507d36f666234b7778b21125cc237751b70b7008902ea6b9e613798dc49cfcf4",
    "e75dc7ca34cde7dd220bb57a175452e08efe65ac8c40be2149bfaa5035c062ce",
]
ROOTS = [
    LEAVES[0],
    "e1fe6a5def2815f969d834b3e8172a90e2a79700e15169edb1b9cb1003558ab6",
    "30ad9759ee2a7488068f1650822617c134a08ee14313ba64614a7e617d089016",
    "149a8f66fd4608f7cc99e6a5bd4c0b7e87dd0266ef09b2f73104e425a2c9dc2a",
]
SMALL = range(1, 40)


class Tree:
    """A tree that stores its complete subtrees, like the database."""

    def __init__(self, size):
        self.nodes, self.frontier, self.roots = {}, Frontier(), [merkle.EMPTY_ROOT]
        for index in range(size):
            leaf = merkle.leaf_hash(index.to_bytes(8, "big"))
            self.nodes[0, index] = leaf
            self.nodes |= {(level, at): top for level, at, top in self.frontier.append(leaf)}
            self.roots.append(self.frontier.root())

    def proof(self, ranges):
        return [
            merkle.fold([self.nodes[node] for node in merkle.complete_nodes(*one)])
            for one in ranges
        ]

    def inclusion(self, index, size):
        return self.proof(merkle.inclusion_ranges(index, size))

    def consistency(self, first, second):
        return self.proof(merkle.consistency_ranges(first, second))


def plain_root(leaves):
    """Compute a root by the recursive definition (RFC 9162, section 2.1.1)."""
    if len(leaves) == 1:
        return leaves[0]
    half = 1
    while half * 2 < len(leaves):
        half *= 2
    both = plain_root(leaves[:half]) + plain_root(leaves[half:])
    return hashlib.sha256(b"\x01" + both).digest()


def inclusion_holds(index, size, leaf, path, root):
    """Follow RFC 9162, section 2.1.3.2, step by step."""
    if index >= size:
        return False
    fn, sn, r = index, size - 1, leaf
    for p in path:
        if sn == 0:
            return False
        if fn % 2 == 1 or fn == sn:
            r = hashlib.sha256(b"\x01" + p + r).digest()
            if fn % 2 == 0:
                while fn % 2 == 0 and fn != 0:
                    fn, sn = fn >> 1, sn >> 1
        else:
            r = hashlib.sha256(b"\x01" + r + p).digest()
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and r == root


def accepts(check, *arguments):
    try:
        check(*arguments)
    except MerkleProofInvalid:
        return False
    return True


@pytest.fixture(scope="module")
def tree():
    return Tree(1500)


def test_leaves_and_roots_match_known_answers():
    frontier, last, seqs = Frontier(), {}, {}
    for index, (subject, event) in enumerate(zip(SUBJECTS, EVENTS, strict=True)):
        tag, seq = merkle.subject_tag(subject), seqs.get(subject, 0)
        prev = last.get(subject, merkle.NO_LEAF)
        leaf = merkle.leaf_hash(merkle.leaf_bytes(index, bytes.fromhex(event), tag, seq, prev))
        seqs[subject], last[subject] = seq + 1, leaf
        frontier.append(leaf)

        assert leaf.hex() == LEAVES[index]
        assert frontier.root().hex() == ROOTS[index]


def test_event_hash_matches_known_answer():
    prev = bytes.fromhex("b438a246e6b99cb7aa460eb3feadbdaee3773be0c8a4e24219024f536ba4597c")
    body = (
        f'{{"eid":"00000000-0000-7000-8000-000000000000","n":0,"sub":"","typ":"writer.start",'
        f'"v":1,"w":"{WRITER.hex()}"}}'
    ).encode()
    data = prev + len(body).to_bytes(8, "big") + body
    mac = hmac.digest(b"k" * 32, b"vaultr/audit/row/v1\0" + data, "sha256")

    assert merkle.event_hash(prev, body, mac).hex() == EVENTS[0]


@pytest.mark.parametrize("size", SMALL)
def test_roots_follow_the_recursive_definition(tree, size):
    assert tree.roots[size] == plain_root([tree.nodes[0, index] for index in range(size)])


def test_both_checkers_accept_all_small_inclusion_proofs(tree):
    for size in SMALL:
        for index in range(size):
            proof = (index, size, tree.nodes[0, index], tree.inclusion(index, size))

            assert inclusion_holds(*proof, tree.roots[size])
            assert accepts(merkle.check_inclusion, *proof, tree.roots[size])


def test_both_checkers_accept_all_small_consistency_proofs(tree):
    for second in SMALL:
        for first in range(1, second + 1):
            path = tree.consistency(first, second)
            proof = (first, second, tree.roots[first], tree.roots[second], path)

            assert consistency_holds(*proof)
            assert accepts(merkle.check_consistency, *proof)


def test_both_checkers_accept_random_larger_proofs(tree):
    draw = random.Random(16)
    for _ in range(300):
        size = draw.randrange(40, 1501)
        index, first = draw.randrange(size), draw.randrange(1, size + 1)
        inclusion = (index, size, tree.nodes[0, index], tree.inclusion(index, size))
        path = tree.consistency(first, size)
        consistency = (first, size, tree.roots[first], tree.roots[size], path)

        assert inclusion_holds(*inclusion, tree.roots[size])
        assert accepts(merkle.check_inclusion, *inclusion, tree.roots[size])
        assert consistency_holds(*consistency)
        assert accepts(merkle.check_consistency, *consistency)


def test_both_checkers_reject_the_same_altered_inclusion_proofs(tree):
    draw = random.Random(61)
    for _ in range(400):
        size = draw.randrange(2, 200)
        index = draw.randrange(size)
        path = altered(draw, tree.inclusion(index, size))
        shown = (draw.choice([index, draw.randrange(size)]), size, tree.nodes[0, index], path)

        theirs = inclusion_holds(*shown, tree.roots[size])
        assert accepts(merkle.check_inclusion, *shown, tree.roots[size]) == theirs
        assert theirs == (shown[0] == index and path == tree.inclusion(index, size))


def test_both_checkers_reject_the_same_altered_consistency_proofs(tree):
    draw = random.Random(62)
    for _ in range(400):
        second = draw.randrange(3, 200)
        first = draw.randrange(1, second)
        right = tree.consistency(first, second)
        path = altered(draw, right)
        proof = (first, second, tree.roots[first], tree.roots[second], path)

        assert consistency_holds(*proof) == (path == right)
        assert accepts(merkle.check_consistency, *proof) == (path == right)


def altered(draw, path):
    """Drop, repeat, swap or change a hash, or do nothing."""
    path = list(path)
    match draw.randrange(5):
        case 0 if path:
            path.pop(draw.randrange(len(path)))
        case 1 if path:
            path.insert(draw.randrange(len(path)), draw.choice(path))
        case 2:
            draw.shuffle(path)
        case 3 if path:
            path[draw.randrange(len(path))] = draw.randbytes(32)
    return path


def test_frontier_restored_from_nodes_has_same_root(tree):
    for size in SMALL:
        hashes = [tree.nodes[node] for node in merkle.complete_nodes(0, size)]
        again = Frontier(size, hashes)
        for index in range(size, 100):
            again.append(tree.nodes[0, index])

        assert again.root() == tree.roots[100]


@pytest.mark.parametrize(("index", "size"), [(0, 0), (3, 3), (-1, 3), (5, 4)])
def test_proof_of_a_leaf_outside_the_tree_is_invalid(index, size):
    with pytest.raises(ValueError, match="no such leaf"):
        merkle.inclusion_ranges(index, size)
    with pytest.raises(MerkleProofInvalid):
        merkle.check_inclusion(index, size, b"x" * 32, [], b"x" * 32)


@pytest.mark.parametrize(("first", "second"), [(0, 3), (4, 3), (-1, 3)])
def test_consistency_of_sizes_out_of_order_is_invalid(first, second):
    with pytest.raises(ValueError, match="first size"):
        merkle.consistency_ranges(first, second)
    with pytest.raises(MerkleProofInvalid):
        merkle.check_consistency(first, second, b"x" * 32, b"x" * 32, [])


def test_proofs_have_the_documented_sizes():
    assert [len(merkle.inclusion_ranges(0, 10**n)) for n in (4, 6, 8)] == [14, 20, 27]
