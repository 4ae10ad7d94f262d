"""A tree as text, in the form of scikit-learn's `export_text`."""

from collections.abc import Sequence

from ml_core.trees import LEAF, Tree


def tree_as_text(
    tree: Tree, feature_names: Sequence[str], class_names: Sequence[object], decimals: int
) -> str:
    """One line a node, under its parent and indented by its depth."""
    lines: list[str] = []
    children = tree.left.tolist()
    # A stack and not recursion: a tree may be deeper than Python's limit.
    waiting = [(0, 0, "")]
    while waiting:
        node, depth, condition = waiting.pop()
        if condition:
            lines.append("|   " * (depth - 1) + "|--- " + condition)
        if tree.feature[node] == LEAF:
            label = class_names[int(tree.shares_of(node).argmax())]
            lines.append("|   " * depth + f"|--- class: {label}")
            continue
        name, threshold = feature_names[tree.feature[node]], tree.threshold[node]
        left = children[node]
        above, below = f"{name} >  {threshold:.{decimals}f}", f"{name} <= {threshold:.{decimals}f}"
        waiting.append((left + 1, depth + 1, above))
        waiting.append((left, depth + 1, below))
    return "".join(f"{line}\n" for line in lines)
