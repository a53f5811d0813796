"""Built-in stages: sampling, mixing, tokenizer training, packing, export, and evaluation of checkpoints."""

from __future__ import annotations

from textbookgen.api.hookspecs import hookimpl
from textbookgen.api.stage import Stage


@hookimpl
def stages() -> list[type[Stage]]:
    """Return the built-in stages that are not sources."""
    from textbookgen.builtin.stages.chat_eval import ChatEval
    from textbookgen.builtin.stages.evaluate import BenchmarkEval
    from textbookgen.builtin.stages.export import Export
    from textbookgen.builtin.stages.mix import Mix
    from textbookgen.builtin.stages.pack.stage import Pack
    from textbookgen.builtin.stages.sample import Sample
    from textbookgen.builtin.stages.train_tokenizer import TrainTokenizer

    return [Sample, Mix, TrainTokenizer, Pack, Export, BenchmarkEval, ChatEval]
