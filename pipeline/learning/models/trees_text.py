"""Look at LightGBM's model text before LightGBM does: it trusts the file, and a changed one may end the process."""

import re

__all__ = ["require_sound_trees"]

_INTEGER = r"\d{1,9}"
_NUMBER = r"-?(?:\d+(?:\.\d*)?(?:e[+-]?\d{1,3})?|inf|nan)"
_HEADER = re.compile(
    rf"tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nlabel_index=0\nmax_feature_idx=(?P<last>{_INTEGER})\n"
    rf"(?:objective=[a-z_0-9]+(?: [a-z_]+:{_NUMBER})*\n)?feature_names=(?P<names>[^\n]*)\n"
    rf"feature_infos=(?P<infos>[^\n]*)\ntree_sizes=(?P<sizes>[\d ]*)\n\n"
)
_INFO = re.compile(rf"none|\[{_NUMBER}:{_NUMBER}\]")
_OF_SPLITS = {
    **dict.fromkeys(("split_feature", "decision_type", "internal_count"), _INTEGER),
    **dict.fromkeys(("split_gain", "threshold", "internal_value", "internal_weight"), _NUMBER),
    **dict.fromkeys(("left_child", "right_child"), f"-?{_INTEGER}"),
}
_OF_LEAVES = {"leaf_value": _NUMBER, "leaf_weight": _NUMBER, "leaf_count": _INTEGER}
_TAIL = re.compile(
    r"end of trees\n\nfeature_importances:\n(?:[^\s=]+=\d+\n)*\nparameters:\n(?:\[\w+: [^\n]*\]\n)*\n?"
    r"end of parameters\n\n"
    r"pandas_categorical:(?:null|\[\])\n*"
)


def require_sound_trees(text: str, features: int) -> None:
    """Make sure that a text is a model of LightGBM's of plain numeric splits, as this package has it written.

    Every count fits, every split is of a feature that there is, and every tree ends: each inner node and leaf is the
    child of one node before it.

    Parameters
    ----------
    text
        As ``Booster.model_to_string`` writes it.
    features
        How many it must be of.

    Raises
    ------
    ValueError
        For any other text: says where it differs.
    """
    header = _HEADER.match(text)
    _require(header is not None, "its header is none of this release's")
    assert header is not None  # noqa: S101 (for the type checker)
    infos = header["infos"].split(" ")
    _require(int(header["last"]) + 1 == features, f"it is not of {features} features")
    _require(len(header["names"].split(" ")) == features == len(infos), "its features are not those it counts")
    _require(all(map(_INFO.fullmatch, infos)), "its features are not plain numbers")
    raw, at = text.encode(), len(text[: header.end()].encode())
    for number, size in enumerate(map(int, header["sizes"].split())):
        _require_tree(raw[at : at + size].decode(errors="replace"), number, features)
        at += size
    _require(_TAIL.fullmatch(raw[at:].decode()) is not None, "what follows its trees is not what LightGBM writes")


def _require_tree(text: str, number: int, features: int) -> None:
    place = f"its tree {number} "
    lines = text.rstrip("\n").split("\n")
    pairs = [line.partition("=") for line in lines]
    held = {name: value for name, _, value in pairs}
    expected = {"Tree", "num_leaves", "num_cat", *_OF_SPLITS, *_OF_LEAVES, "is_linear", "shrinkage"}
    _require(set(held) == expected and len(held) == len(lines), place + "has other entries")
    plain = held["Tree"] == str(number) and (held["num_cat"], held["is_linear"]) == ("0", "0")
    _require(plain and re.fullmatch(_NUMBER, held["shrinkage"]) is not None, place + "is of another kind")
    _require(re.fullmatch(r"[1-9]\d{0,5}", held["num_leaves"]) is not None, place + "has no leaves")
    leaves = int(held["num_leaves"])
    for patterns, length in ((_OF_SPLITS, leaves - 1), (_OF_LEAVES, leaves)):
        for name, pattern in patterns.items():
            values = held[name].split()
            fits = len(values) == length and all(re.fullmatch(pattern, value) for value in values)
            _require(fits, f"{place}has {name} that are not {length} numbers")
    _require(all(int(one) < features for one in held["split_feature"].split()), place + "splits on no feature of its")
    _require(all(int(one) in range(0, 16, 2) for one in held["decision_type"].split()), place + "has other decisions")
    children = [[int(one) for one in held[name].split()] for name in ("left_child", "right_child")]
    after = all(child < 0 or child > node for side in children for node, child in enumerate(side))
    once = sorted(child for side in children for child in side) == [*range(-leaves, 0), *range(1, leaves - 1)]
    _require(after and (once or leaves == 1), place + "is not a tree")


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ValueError(f"the text is not a model that LightGBM wrote: {otherwise}")
