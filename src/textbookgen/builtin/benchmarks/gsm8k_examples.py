"""The eight solved problems of chain-of-thought prompting (Wei et al. 2022, arXiv 2201.11903), in words and as programs.

Questions and solutions in words are the published ones, as in lm-evaluation-harness (MIT licence). The programs have the form
of program-aided language models (Gao et al. 2022, PAL, arXiv 2211.10435): a function `solution` that returns the answer.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SolvedProblem:
    """A question, its solution in words, which ends with `The answer is N.`, and the body of a function that solves it."""

    question: str
    solution: str
    program: str


EXAMPLES = (
    SolvedProblem(
        "There are 15 trees in the grove. Grove workers will plant trees in the grove today. After they are done, there will "
        "be 21 trees. How many trees did the grove workers plant today?",
        "There are 15 trees originally. Then there were 21 trees after some more were planted. So there must have been "
        "21 - 15 = 6. The answer is 6.",
        """
        trees_before = 15
        trees_after = 21
        trees_planted = trees_after - trees_before
        return trees_planted
        """,
    ),
    SolvedProblem(
        "If there are 3 cars in the parking lot and 2 more cars arrive, how many cars are in the parking lot?",
        "There are originally 3 cars. 2 more cars arrive. 3 + 2 = 5. The answer is 5.",
        """
        cars_before = 3
        cars_arriving = 2
        return cars_before + cars_arriving
        """,
    ),
    SolvedProblem(
        "Leah had 32 chocolates and her sister had 42. If they ate 35, how many pieces do they have left in total?",
        "Originally, Leah had 32 chocolates. Her sister had 42. So in total they had 32 + 42 = 74. After eating 35, they had "
        "74 - 35 = 39. The answer is 39.",
        """
        leah = 32
        sister = 42
        eaten = 35
        return leah + sister - eaten
        """,
    ),
    SolvedProblem(
        "Jason had 20 lollipops. He gave Denny some lollipops. Now Jason has 12 lollipops. How many lollipops did Jason give "
        "to Denny?",
        "Jason started with 20 lollipops. Then he had 12 after giving some to Denny. So he gave Denny 20 - 12 = 8. The answer "
        "is 8.",
        """
        lollipops_before = 20
        lollipops_after = 12
        return lollipops_before - lollipops_after
        """,
    ),
    SolvedProblem(
        "Shawn has five toys. For Christmas, he got two toys each from his mom and dad. How many toys does he have now?",
        "Shawn started with 5 toys. If he got 2 toys each from his mom and dad, then that is 4 more toys. 5 + 4 = 9. The "
        "answer is 9.",
        """
        toys_before = 5
        toys_from_mom = 2
        toys_from_dad = 2
        return toys_before + toys_from_mom + toys_from_dad
        """,
    ),
    SolvedProblem(
        "There were nine computers in the server room. Five more computers were installed each day, from monday to thursday. "
        "How many computers are now in the server room?",
        "There were originally 9 computers. For each of 4 days, 5 more computers were added. So 5 * 4 = 20 computers were "
        "added. 9 + 20 is 29. The answer is 29.",
        """
        computers_before = 9
        computers_per_day = 5
        days = 4  # monday, tuesday, wednesday, thursday
        return computers_before + computers_per_day * days
        """,
    ),
    SolvedProblem(
        "Michael had 58 golf balls. On tuesday, he lost 23 golf balls. On wednesday, he lost 2 more. How many golf balls did "
        "he have at the end of wednesday?",
        "Michael started with 58 golf balls. After losing 23 on tuesday, he had 58 - 23 = 35. After losing 2 more, he had "
        "35 - 2 = 33 golf balls. The answer is 33.",
        """
        golf_balls = 58
        golf_balls -= 23  # tuesday
        golf_balls -= 2  # wednesday
        return golf_balls
        """,
    ),
    SolvedProblem(
        "Olivia has $23. She bought five bagels for $3 each. How much money does she have left?",
        "Olivia had 23 dollars. 5 bagels for 3 dollars each will be 5 x 3 = 15 dollars. So she has 23 - 15 dollars left. "
        "23 - 15 is 8. The answer is 8.",
        """
        money_before = 23
        bagels = 5
        price_per_bagel = 3
        return money_before - bagels * price_per_bagel
        """,
    ),
)
