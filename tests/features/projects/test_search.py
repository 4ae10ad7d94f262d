"""Words, and what is asked for."""

import pytest

from astralytiq.core.errors import Invalid
from astralytiq.features.projects.search import LONGEST_WORD, words_asked, words_of


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
