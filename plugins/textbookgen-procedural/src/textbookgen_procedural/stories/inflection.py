"""Forms of words: the past tense of verbs, and `a` or `an`."""

from __future__ import annotations

import re

_IRREGULAR = dict(
    pair.split(":")
    for pair in (
        "be:was become:became begin:began bend:bent bite:bit bleed:bled blow:blew break:broke bring:brought build:built burst:burst "
        "buy:bought catch:caught choose:chose come:came cut:cut dig:dug do:did draw:drew drink:drank drive:drove eat:ate fall:fell "
        "feed:fed feel:felt fight:fought find:found fit:fit fly:flew forget:forgot forgive:forgave freeze:froze get:got give:gave "
        "go:went grow:grew hang:hung have:had hear:heard hide:hid hit:hit hold:held hurt:hurt keep:kept kneel:knelt knit:knitted "
        "know:knew lay:laid lead:led leap:leapt leave:left lend:lent let:let lie:lay light:lit lose:lost make:made meet:met "
        "pay:paid put:put quit:quit read:read ride:rode ring:rang rise:rose run:ran say:said see:saw sell:sold send:sent set:set "
        "sew:sewed shake:shook shine:shone shrink:shrank shut:shut sing:sang sink:sank sit:sat sleep:slept slide:slid "
        "speak:spoke spend:spent spill:spilled spin:spun split:split spread:spread stand:stood steal:stole stick:stuck sting:stung "
        "sweep:swept swim:swam swing:swung take:took teach:taught tear:tore tell:told think:thought throw:threw wake:woke wear:wore "
        "weave:wove win:won write:wrote beat:beat bear:bore creep:crept dream:dreamed smell:smelled spell:spelled spoil:spoiled "
        "understand:understood whip:whipped worship:worshipped"
    ).split()
)
_DOUBLED = frozenset(
    (
        "bat beg brag chat chop clap clip dip drag drip drop fan flap flip grab grin hop hug hum jog knot mop nap nod pat pet pin plan "
        "plug pop pot quiz rip rob rub scrub shop sip skip slam slip snap sob spot squat stir stop strap tag tap trap trim trip trot "
        "tug wag wrap zip skid stun tip top rot sag shrug step admit prefer drum hem jam"
    ).split()
)
_SILENT = re.compile(r"(?:hour|honest|heir|honor)")
_SOUNDED = re.compile(r"(?:one\b|once|us[eu]|uni[^nm]|eu|u[bkt][aeiou])")


def past(verb: str) -> str:
    """The past tense of a verb."""
    if verb in _IRREGULAR:
        return _IRREGULAR[verb]
    if verb.endswith("e"):
        return f"{verb}d"
    if verb.endswith("y") and verb[-2:-1] not in "aeiou":
        return f"{verb[:-1]}ied"
    return f"{verb}{verb[-1]}ed" if verb in _DOUBLED else f"{verb}ed"


def article(word: str) -> str:
    """`a` or `an`, whichever the word takes."""
    lowered = word.lower()
    if _SILENT.match(lowered):
        return "an"
    return "an" if lowered[:1] in "aeiou" and not _SOUNDED.match(lowered) else "a"


_ARTICLE = re.compile(r"\b([Aa])n? (\w+)")


def mend_articles(text: str) -> str:
    """The text with each `a` before a vowel made `an`, and the other way round."""
    return _ARTICLE.sub(lambda match: f"{match[1]}{article(match[2])[1:]} {match[2]}", text)
