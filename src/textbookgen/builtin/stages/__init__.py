"""Built-in stages: any prompt (`write`, `grade`), sampling, mixing, tokenizers, packing, export, evaluation."""

from __future__ import annotations

from textbookgen.api.hookspecs import hookimpl
from textbookgen.api.stage import Stage


@hookimpl
def stages() -> list[type[Stage]]:
    """Return the built-in stages that are not sources."""
    from textbookgen.builtin.stages.chat_eval import ChatEval
    from textbookgen.builtin.stages.evaluate import BenchmarkEval
    from textbookgen.builtin.stages.export import Export
    from textbookgen.builtin.stages.grade import Grade
    from textbookgen.builtin.stages.honesty import Honesty
    from textbookgen.builtin.stages.mix import Mix
    from textbookgen.builtin.stages.multi_turn import MultiTurn
    from textbookgen.builtin.stages.pack.stage import Pack
    from textbookgen.builtin.stages.probes import Probes
    from textbookgen.builtin.stages.sample import Sample
    from textbookgen.builtin.stages.train_tokenizer import TrainTokenizer
    from textbookgen.builtin.stages.write import Write

    return [Write, Grade, Sample, Mix, TrainTokenizer, Pack, Export, BenchmarkEval, ChatEval, Probes, Honesty, MultiTurn]
