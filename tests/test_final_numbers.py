"""The number that an answer gives, in the styles of language models."""

from __future__ import annotations

from fractions import Fraction

import pytest

from textbookgen.builtin.evaluation.final_numbers import (
    extract_flexible,
    extract_strict,
    final_number,
    matches_exactly,
    same_number,
)

EIGHTEEN = [
    " 18.",
    "#### 18",
    "#### $18",
    "####18",
    "$18",
    "$18.00",
    "= 18",
    "(18)",
    "18 dollars",
    "18%",
    "She has 18.",
    "The answer is 18",
    "the answer would be 18",
    "The answer is **18**.",
    "The answer is 9 * 2 = 18.",
    "The answer is not 12. The answer is 18.",
    "So the answer is: about 18.",
    "The answer: 18\u00a0dollars",
    "Answer: 18 eggs for 3 days",
    "Answer: Since she has 16 eggs, she makes 18",
    "The correct answer is option 18",
    "**Final Answer:**\n\n18",
    "### Answer:\n\n**18**",
    "The final answer is: $\\boxed{18}$",
    "So the total is \\boxed{\\$18}.",
    "\\[ \\text{Total} = 9 \\times 2 = \\boxed{18 \\text{ dollars}} \\]",
    "\\boxed{\\frac{36}{2}}",
    "Step 1: 16-3-4=9\nStep 2: 9*2=18\n\n**Answer:** $18 per day. Let me know if you have 2 more questions!",
    "#### Step 1: eggs\n16 - 7 = 9\n#### Step 2: money\n9 x 2 = 18\n#### 18 dollars",
    "Janet sells 9 eggs.\nThe answer is $9 x 2 = $18 per day.",
    "In 2024, she paid $3/hour for 6 hours: 18",
]


@pytest.mark.parametrize("answer", EIGHTEEN)
def test_eighteen_in_the_styles_of_models(answer: str) -> None:
    assert final_number(answer) == 18
    assert same_number(final_number(answer), "18")
    assert not same_number(final_number(answer), "17")


@pytest.mark.parametrize(
    ("answer", "number"),
    [
        ("1,018", 1018),
        ("The answer is 1,018 dollars.", 1018),
        ("\\boxed{1{,}018}", 1018),
        ("\\boxed{1\\,018}", 1018),
        ("$1,234,567.50", Fraction("1234567.5")),
        ("The answer is -5.", -5),
        ("The answer is \u2212$5", -5),
        ("$-12$", -12),
        ("so 8-5 leaves 3", 3),
        ("It is 8-5", 5),
        ("2.5 hours", Fraction("2.5")),
        ("1/2", Fraction(1, 2)),
        ("no number", None),
        ("", None),
    ],
)
def test_separators_signs_and_fractions(answer: str, number: Fraction | None) -> None:
    assert final_number(answer) == number


@pytest.mark.parametrize(
    ("answer", "strict", "flexible"),
    [
        ("It is 9.\n#### 18", True, True),
        ("The answer is 18.", False, True),
        (" $18.", False, True),
        ("so 1,018 - 1,000 = 18 dollars", False, True),
        ("She makes $18.00", False, False),  # the published extraction compares text
        ("18, since 3 are left", False, False),
        ("none", False, False),
    ],
)
def test_published_extraction_is_kept_apart(answer: str, strict: bool, flexible: bool) -> None:
    assert matches_exactly(extract_strict(answer, r"#### (\-?[0-9\.\,]+)"), "18") is strict
    assert matches_exactly(extract_flexible(answer), "18") is flexible
