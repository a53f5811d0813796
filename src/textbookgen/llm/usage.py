"""Usage: counters of requests, replies, tokens and cost."""

from __future__ import annotations

from dataclasses import dataclass

from textbookgen.api.teacher import Reply


@dataclass
class Usage:
    """What one client sent, received and paid. Replies from the ledger are counted apart.

    Attributes:
        requests: attempts sent to the teacher, retries and repairs included.
        replies: replies received from the teacher.
        from_ledger: replies found in the ledger.
        retries: attempts that followed a failed one.
        rate_limited: attempts that the teacher rejected for exceeding its rate limit.
        refused: requests that the teacher refused for good.
        truncated: replies that ended at the token limit.
        repairs: replies returned to the teacher because they violated their JSON schema.
        tokens_in: prompt tokens of received replies, cached ones included.
        tokens_cached: prompt tokens that the provider had in its cache.
        tokens_out: generated tokens, reasoning included.
        tokens_reasoning: generated tokens that are not part of the text.
        cost_usd: cost of received replies.
        lost_usd: worst-case cost of requests whose reply was lost, which the provider may charge for.
        saved_tokens_in: prompt tokens of replies found in the ledger.
        saved_tokens_out: generated tokens of replies found in the ledger.
        saved_usd: what the replies found in the ledger cost when they were received.
    """

    requests: int = 0
    replies: int = 0
    from_ledger: int = 0
    retries: int = 0
    rate_limited: int = 0
    refused: int = 0
    truncated: int = 0
    repairs: int = 0
    tokens_in: int = 0
    tokens_cached: int = 0
    tokens_out: int = 0
    tokens_reasoning: int = 0
    cost_usd: float = 0.0
    lost_usd: float = 0.0
    saved_tokens_in: int = 0
    saved_tokens_out: int = 0
    saved_usd: float = 0.0

    def add_received(self, reply: Reply) -> None:
        """Count a reply received from the teacher."""
        self.replies += 1
        self.truncated += reply.finish == "length"
        self.tokens_in += reply.tokens_in
        self.tokens_cached += reply.tokens_cached
        self.tokens_out += reply.tokens_out
        self.tokens_reasoning += reply.tokens_reasoning
        self.cost_usd += reply.cost_usd

    def add_from_ledger(self, reply: Reply) -> None:
        """Count a reply found in the ledger."""
        self.from_ledger += 1
        self.saved_tokens_in += reply.tokens_in
        self.saved_tokens_out += reply.tokens_out
        self.saved_usd += reply.cost_usd
