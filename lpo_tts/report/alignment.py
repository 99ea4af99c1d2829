"""Which words of a hypothesis are wrong, and which words were heard more often than the text has them."""

from collections import Counter
from collections.abc import Sequence
from typing import Literal

Operation = Literal["hit", "substitution", "deletion", "insertion"]


def align(reference: Sequence[str], hypothesis: Sequence[str]) -> list[tuple[Operation, str, str]]:
    """Least-edit alignment of two word sequences: (operation, reference word or "", hypothesis word or "")."""
    rows, columns = len(reference) + 1, len(hypothesis) + 1
    cost = [[i + j if i == 0 or j == 0 else 0 for j in range(columns)] for i in range(rows)]
    for i in range(1, rows):
        for j in range(1, columns):
            change = cost[i - 1][j - 1] + (reference[i - 1] != hypothesis[j - 1])
            cost[i][j] = min(change, cost[i - 1][j] + 1, cost[i][j - 1] + 1)
    steps: list[tuple[Operation, str, str]] = []
    i, j = len(reference), len(hypothesis)
    while i or j:
        same = i > 0 and j > 0 and reference[i - 1] == hypothesis[j - 1]
        if i and j and cost[i][j] == cost[i - 1][j - 1] + (not same):
            steps.append(("hit" if same else "substitution", reference[i - 1], hypothesis[j - 1]))
            i, j = i - 1, j - 1
        elif i and cost[i][j] == cost[i - 1][j] + 1:
            steps.append(("deletion", reference[i - 1], ""))
            i -= 1
        else:
            steps.append(("insertion", "", hypothesis[j - 1]))
            j -= 1
    return steps[::-1]


def num_repeated(reference: Sequence[str], hypothesis: Sequence[str]) -> int:
    """Words of the text heard more often than it has them ("seven seven seven" for "seven" counts 2)."""
    wanted = Counter(reference)
    return sum(max(0, count - wanted[word]) for word, count in Counter(hypothesis).items() if word in wanted)
