"""The rules policy: the operator's own conditions on cheap facts; the first rule that matches decides.

Keywords are compiled when the policy is made. They are matched as whole words whatever their case, after Unicode
normalisation, so that `PROUVE` finds `prouve` and `STRASSE` finds `Straße`. Each has an expression of its own: an alternation
of them all is tried anew at each character, while one that begins with a literal is searched at the speed of memory.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol
from unicodedata import normalize

from jevons.proxy.errors import ConfigError
from jevons.proxy.exchange import Plan, Reason, Request

from .hours import Hours
from .language import LANGUAGES, language_of
from .policy import NO_MATCH, Facts, Verdict

SEARCHED_CHARACTERS: Final = 20_000
"""How much of the last user turn is searched: a longer one is searched in its first and its last half of this many, since
what to do with a long paste stands before or after it."""

FACTS: Final = frozenset({"code", "tools", "images", "json_schema"})

_UNSPACED: Final = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
"""Thai, Lao, Burmese, Khmer, Kana and Han: scripts without spaces, where any place is the edge of a word."""

_MARKS: Final = "\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u0900-\u0963\u0966-\u0dff"
"""Combining marks and the Indic blocks: parts of a word that Python's `\\w` does not know as such."""

_LETTER: Final = rf"[\w{_MARKS}]"
_HAS_NO_EDGE: Final = re.compile(f"[{_UNSPACED}]")
_IS_LETTER: Final = re.compile(_LETTER)


_NO_WORD: Final = Reason("rules", NO_MATCH, "")


class Expression(Protocol):
    """A compiled regular expression, such as `jevons.proxy.pattern.Pattern`, whose time is linear in the text."""

    def search(self, text: str, /) -> object:
        """Something true where it is found anywhere in `text`."""
        ...


@dataclass(frozen=True, slots=True)
class Rule:
    """When all the given conditions hold, the request goes `to`: `direct`, `reasoning` or an upstream's name.

    `keywords`: any of them, as whole words. `regex`: found anywhere. Both look at the last user turn. `has`: all of them.
    The bounds of the prompt's tokens are inclusive. `system`: any of them, as whole words, in the system prompt. `languages`:
    the last user turn is in one of them, as far as that can be told. None, or an empty `has`, is a condition that was not given.
    """

    name: str
    to: str
    keywords: tuple[str, ...] | None = None
    regex: Expression | None = None
    prompt_tokens_min: int | None = None
    prompt_tokens_max: int | None = None
    has: frozenset[str] = frozenset()
    system: tuple[str, ...] | None = None
    languages: frozenset[str] | None = None
    tenants: frozenset[str] | None = None
    hours: Hours | None = None

    def problems(self) -> Iterable[str]:
        """What is wrong with it, in words for the operator."""
        asked = (self.keywords, self.regex, self.prompt_tokens_min, self.prompt_tokens_max)
        circumstances = (self.system, self.languages, self.tenants, self.hours)
        if all(condition is None for condition in (*asked, *circumstances)) and not self.has:
            yield "no condition at all: what every request gets is named by `default`"
        if self.keywords is not None and not any(keyword.strip() for keyword in self.keywords):
            yield "keywords: none given, so it can never match"
        elif self.keywords is not None and not all(keyword.strip() for keyword in self.keywords):
            yield "keywords: one is empty"
        if unknown := self.has - FACTS:
            yield f"has: {', '.join(sorted(unknown))} is none of {', '.join(sorted(FACTS))}"
        if unknown := (self.languages or frozenset()) - LANGUAGES:
            yield f"language: {', '.join(sorted(unknown))} is none of {', '.join(sorted(LANGUAGES))}"
        least, most = self.prompt_tokens_min, self.prompt_tokens_max
        if least is not None and most is not None and least > most:
            yield f"prompt_tokens: min {least} is above max {most}"


class _Text:
    """The searched part of the last user turn, folded only when the first rule with keywords asks."""

    __slots__ = ("_language", "folded", "plain")

    def __init__(self, text: str) -> None:
        half = SEARCHED_CHARACTERS // 2
        self.plain = text if len(text) <= SEARCHED_CHARACTERS else f"{text[: half - 1]}\n{text[-half:]}"
        self.folded: str | None = None
        self._language: str | None = ""

    @property
    def language(self) -> str | None:
        if self._language == "":
            self._language = language_of(self.plain)
        return self._language


class _Keywords:
    """Keywords of one or several words each, folded. White space between the words may be any, in the prompt as in the rule."""

    __slots__ = ("_searches",)

    def __init__(self, keywords: Iterable[str]) -> None:
        self._searches = tuple(map(self._compile, keywords))
        """Of each, a text without which it is not there, and the search that decides."""

    @staticmethod
    def _compile(keyword: str) -> tuple[str, Callable[[str], object]]:
        first, *others = _fold(keyword).split()
        last = others[-1] if others else first
        before = rf"(?<!{_LETTER}{re.escape(first)})" if _needs_edge(first[0]) else ""
        after = rf"(?!{_LETTER})" if _needs_edge(last[-1]) else ""
        # The edge before is looked for after the first word, so that the expression begins with a literal: see above.
        expression = re.compile(r"\s+".join([re.escape(first) + before, *map(re.escape, others)]) + after)
        return max(first, *others, key=len) if others else first, expression.search

    def are_in(self, text: _Text) -> bool:
        """Whether any of them is."""
        folded = text.folded
        if folded is None:
            folded = text.folded = _fold(text.plain)
        for needle, search in self._searches:  # noqa: SIM110 - every request comes by here, and a generator costs more than it
            if needle in folded and search(folded) is not None:
                return True
        return False


class _CompiledRule:
    """A rule, ready to be asked: the cheap conditions first."""

    __slots__ = ("_circumstances", "_keywords", "_system", "rule")

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self._keywords = _Keywords(rule.keywords) if rule.keywords else None
        self._system = _Keywords(rule.system) if rule.system else None
        self._circumstances = any(condition is not None for condition in (rule.languages, rule.tenants, rule.hours, rule.system))

    def matches(self, request: Request, text: _Text) -> bool:
        if self._circumstances and not self._suits(request, text):
            return False
        rule, prompt = self.rule, request.prompt
        if rule.prompt_tokens_min is not None and prompt.tokens < rule.prompt_tokens_min:
            return False
        if rule.prompt_tokens_max is not None and prompt.tokens > rule.prompt_tokens_max:
            return False
        if not rule.has <= prompt.has:
            return False
        if self._keywords is not None and not self._keywords.are_in(text):
            return False
        return rule.regex is None or bool(rule.regex.search(text.plain))

    def _suits(self, request: Request, text: _Text) -> bool:
        """Whether the rarer conditions hold: those on who asks, when, in which language and under which system prompt."""
        rule = self.rule
        if rule.tenants is not None and request.tenant not in rule.tenants:
            return False
        if rule.hours is not None and not rule.hours.hold(request.started_at):
            return False
        if rule.languages is not None and text.language not in rule.languages:
            return False
        return self._system is None or self._system.are_in(_Text(request.prompt.system))


class RulesPolicy:
    """Asks the rules in their order. Raises ConfigError, all problems at once, where one cannot be used."""

    name = "rules"

    def __init__(self, rules: Sequence[Rule]) -> None:
        if problems := [f"rules.{rule.name}: {problem}" for rule in rules for problem in rule.problems()]:
            raise ConfigError(problems)
        self._rules = tuple(map(_CompiledRule, rules))

    def decide(self, request: Request, plan: Plan, facts: Facts) -> Verdict:
        """Where the first matching rule says; a rule whose target nobody serves says so and decides nothing."""
        text = _Text(request.prompt.text)
        for compiled in self._rules:
            if compiled.matches(request, text):
                rule = compiled.rule
                target = facts.target(rule.to)
                if target is None:
                    return plan.because(Reason(self.name, f"{rule.name}, but nobody serves {rule.to}", ""))
                return plan.sent_to((target,), Reason(self.name, rule.name, rule.to), target.tier)
        return plan.because(_NO_WORD)


def _fold(text: str) -> str:
    return normalize("NFC", text).casefold()


def _needs_edge(character: str) -> bool:
    return bool(_IS_LETTER.match(character)) and not _HAS_NO_EDGE.match(character)
