"""Which words of a hypothesis are wrong, and which words were heard more often than the text has them."""

from collections import Counter
from collections.abc import Sequence
from typing import Literal

Operation = Literal["hit", "substitution", "deletion", "insertion"]
Step = tuple[Operation, str, str]  # reference word or "", hypothesis word or ""


def align(reference: Sequence[str], hypothesis: Sequence[str]) -> list[Step]:
    """Least-edit alignment of two word sequences: (operation, reference word or "", hypothesis word or "")."""
    # Filled from the end: of equal alignments, the one whose first "seven" of three is the right one.
    rows, columns = len(reference), len(hypothesis)
    cost = [[rows - i + columns - j if i == rows or j == columns else 0 for j in range(columns + 1)] for i in range(rows + 1)]
    for i in reversed(range(rows)):
        for j in reversed(range(columns)):
            change = cost[i + 1][j + 1] + (reference[i] != hypothesis[j])
            cost[i][j] = min(change, cost[i + 1][j] + 1, cost[i][j + 1] + 1)
    steps: list[Step] = []
    i = j = 0
    while i < rows or j < columns:
        same = i < rows and j < columns and reference[i] == hypothesis[j]
        if i < rows and j < columns and cost[i][j] == cost[i + 1][j + 1] + (not same):
            steps.append(("hit" if same else "substitution", reference[i], hypothesis[j]))
            i, j = i + 1, j + 1
        elif i < rows and cost[i][j] == cost[i + 1][j] + 1:
            steps.append(("deletion", reference[i], ""))
            i += 1
        else:
            steps.append(("insertion", "", hypothesis[j]))
            j += 1
    return steps


def num_repeated(reference: Sequence[str], hypothesis: Sequence[str]) -> int:
    """Words of the text heard more often than it has them ("seven seven seven" for "seven" counts 2)."""
    wanted = Counter(reference)
    return sum(max(0, count - wanted[word]) for word, count in Counter(hypothesis).items() if word in wanted)
