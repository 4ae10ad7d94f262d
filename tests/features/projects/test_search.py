"""Words, and what is asked for."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astralytiq.core.errors import Invalid
from astralytiq.features.projects.search import LONGEST_WORD, with_shared, words_asked, words_of

# Few letters, so that words share beginnings: of one byte to four, and one that folds into two.
FEW = "aabbcéß日\U00010428\U0001d7d8 "
TEXTS = st.text(FEW, max_size=60) | st.text(max_size=60)


def test_words_are_lower_case_distinct_and_without_signs() -> None:
    assert words_of("Fix the LOGIN, fix it!", None, "login_page") == [
        "fix", "it", "login", "page", "the",
    ]  # fmt: skip


def test_a_word_that_begins_another_is_left_out() -> None:
    assert words_of("report reports reporting repair") == ["repair", "reporting", "reports"]


def test_letters_of_every_script_count_and_their_forms_are_one() -> None:
    assert words_of("STRASSE Straße \uff26\uff29\uff38 e\u0301") == ["fix", "strasse", "é"]


def test_a_long_word_is_found_by_its_beginning() -> None:
    assert words_of("x" * 1000) == words_asked("x" * 500) == ["x" * LONGEST_WORD]


def test_blanks_ask_for_nothing_and_signs_for_no_word() -> None:
    assert words_asked(None) is words_asked("  ") is None
    assert words_asked("%_ ' --") == []


def test_too_many_words_are_refused() -> None:
    with pytest.raises(Invalid):
        words_asked("a b c d e f g h i j k")


def test_a_word_knows_what_it_shares_with_the_word_before() -> None:
    words = words_of("repairs, report: the red réd house")
    assert list(with_shared(words)) == [
        ("house", 0), ("red", 0), ("repairs", 2), ("report", 3), ("réd", 1), ("the", 0),
    ]  # fmt: skip
    assert list(with_shared([])) == []


@settings(max_examples=200, derandomize=True, database=None, deadline=None)
@given(text=TEXTS, asked=TEXTS)
def test_one_word_of_a_text_is_the_first_with_a_beginning(text: str, asked: str) -> None:
    """It alone shares less than the beginning; both databases sort words as Python does."""
    words = words_of(text)
    assert words == sorted(words, key=str.encode)
    cut = {word[:length] for word in words for length in range(1, len(word) + 1)}
    for beginning in cut.union(words_of(asked)):
        found = [word for word in words if word.startswith(beginning)]
        first = [word for word, shared in with_shared(words) if shared < len(beginning)]
        assert [word for word in first if word in found] == found[:1]
