"""Phrases by which pages state outputs and errors: all that the reader of pages and the judge of claims recognize.

`comments` and `snippets` find statements with them in the worker, `statements` judges them on the host.
"""

from __future__ import annotations

import builtins
import re

LONG_ARROW = r"(?:[-=~]+>+|→|⇒|➜|➔)"
ARROW = rf"(?:{LONG_ARROW}|>+|=(?!=))"
VERB = (
    r"(?:prints?|printing|printed|outputs?|displays?|shows?|results?|returns?|returned|gives?|yields?|produces?|evaluates|expected|"
    r"answer|equals)"
)
#: What may precede a claimed output.
LEAD_IN = re.compile(
    rf"^\W{{0,2}}(?:{ARROW}|(?:(?:this|it|the|that|line|code|call|sample|console|final|will|should|would|also|now|and|so|\d)\s+)*"
    rf"{VERB}\b(?:\s+(?:output|result|value|be|in|out|is|to|as))*\s*(?:{ARROW}|:|(?=\s)|$)|should be\b|will be\b)\s*",
    re.IGNORECASE,
)
#: The first words of a description of the output, as opposed to the output.
DESCRIPTION = re.compile(
    r"(?:the|a|an|each|all|every|both|any|this|that|these|those|its?|his|her|their|our|your|my|one|only|same|first|last|second|how|"
    r"what|whether|why|when|where|if|no|nothing|as|like|from|on|with|without|for|by|because|some|something|numbers?|lines?|words?|"
    r"values?|items?|elements?|characters?|either|different|depends|twice|again|multiple|several|\w+ing)\b",
    re.IGNORECASE,
)
VARIES = re.compile(
    r"\b(?:e\.g\.|for example|for instance|such as|something like|similar|varies|vary|random|different each|depends|may differ|"
    r"address|example)",
    re.IGNORECASE,
)
APPROXIMATELY = re.compile(
    r"^(?:~|≈|about|approximately|approx\.?|roughly|around|ca\.?|circa|nearly|almost)\s*|\s*\(?approx(?:imately|\.)?\)?$", re.I
)
#: What explains an output, behind it.
ASIDE = re.compile(
    r"\s+(?:\(|\[|[-–—]{1,2}\s|<-|←|(?:because|since|as|for|not|but|and not|which|when|if|after|from|due|instead)\b|"
    r"[=≈#]|//)|"
    r"\s*(?:[;:!]|,\s+(?=[a-z])|\.\s)|\s*\(|\s+[a-z]+ing\b"
)
VALUE_AT_END = re.compile(
    r"\b(?:result|output|answer|sum|total|value|length|count|average|mean|it|this|that)(?:\s+\w+)?\s+"
    r"(?:is|are|equals?|becomes|will be|should be)(?: now)?\s+(?P<value>[^\s].*?)\.?$",
    re.IGNORECASE,
)
EACH_ON_A_LINE = re.compile(
    r"\s*[\[(]?\b(?:each )?(?:one per line|on (?:a )?(?:its own|separate|new|different|individual) lines?)\b[\])]?\s*$", re.I
)
REMARK = re.compile(
    r"(?:debug|done|ok(?:ay)?|total|results?|outputs?|tests?|examples?|works|yes|no|same|wrong|correct|right|bad|good|nice|oops|"
    r"error|unchanged|changed|nothing|finally|start|end|usage|demo|try|todo|note|important|careful|empty|blank|success)[.!?]?",
    re.IGNORECASE,
)
ERROR_NAMES = frozenset(name for name, kind in vars(builtins).items() if isinstance(kind, type) and issubclass(kind, Exception))
ANNOUNCES_ERROR = re.compile(
    r"\b(?:raises?|raising|fails?|crash(?:es)?|"
    r"(?:causes?|gives|throws|produces|leads to) (?:an? )?(?:error|exception))\b|^error\b",
    re.I,
)
STATES_ERROR = re.compile(
    rf"^(?:{ARROW})?\s*(?:(?:this|it|will|would)\s+)*(?:raises?:?\s+)?(?:an?\s+)?(?P<name>\w+)\b(?P<rest>.*)", re.I
)
CONDITION = re.compile(r"\b(?:if|when|unless|otherwise|without|for|not|would)\b", re.I)
TRACEBACK = re.compile(r"^Traceback \(most recent call last\)|^\s*(?:\w+\.)*\w*(?:Error|Exception)\b(?::|\s*$)", re.M)
HEADING = re.compile(rf"^{LONG_ARROW}|^(?:[\w']+ ){{0,4}}?(?:outputs?|prints?|results?|displays?|shows?)\b[^\n]*", re.I)
#: A paragraph that says that what follows is the output, and one that speaks of another run of the program.
SAYS_OUTPUT = re.compile(r"\b(?:output|prints?|printed|displays?|produces|results?|see|shows?|shown|yields|gives)\b", re.I)
HYPOTHETICAL = re.compile(
    r"\b(?:if|would|suppose|imagine|changed?|instead|might|could|may|vary|varies|differ|different|exercise|input)\b", re.I
)
SAME_LINE = re.compile(
    r"^\W*(?:(?:expected|sample|console|program|the|its)\W+)*(?:output|prints|displays)\W*(?::|→|->|=>)\W*?(?P<rest>\S[^\n]*)",
    re.I,
)
SENTENCE = re.compile(
    r"^(?:this|it|the (?:code|program|snippet|output|result|last line|call)|running (?:this|it)(?: code| program| snippet)?)"
    r"\b[^`.\n]{0,40}?"
    r"\b(?:prints?|outputs?|displays?|is|gives|produces|yields)\b(?: out)?:? `(?P<text>[^`\n]+)`(?P<rest>[^\n]*)",
    re.I,
)
