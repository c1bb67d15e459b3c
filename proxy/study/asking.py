"""One request of a study, from its key to its raw line."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..units import Seconds
from .checkers import is_right
from .imposing import Lengths
from .prompts import StudyPrompt
from .proxy_link import ProxyLink, Refused, Told
from .raw import OK, Key, Reply
from .study_file import ArmSection, StudySection


@dataclass(frozen=True, slots=True)
class Question:
    """What is sent for one key."""

    key: Key
    prompt: StudyPrompt
    arm: ArmSection
    body: dict[str, Any]
    tier: str | None
    imposed_tokens: int | None


def make_question(study: StudySection, prompts: Mapping[str, StudyPrompt], key: Key) -> Question:
    """The request for a key: the same for the same study, whenever it is made."""
    arm_name, prompt_id, repetition, _level = key
    arm, prompt = study.arm(arm_name), prompts[prompt_id]
    imposed = None
    messages = [{"role": "user", "content": prompt.text}]
    if study.system is not None:
        messages.insert(0, {"role": "system", "content": study.system})
    body: dict[str, Any] = {"model": arm.model, "messages": messages, "max_tokens": study.max_tokens}
    if study.temperature is not None:
        body["temperature"] = study.temperature
    if study.sends_seed:
        body["seed"] = study.seed + repetition
    if arm.effort is not None:
        body["reasoning_effort"] = arm.effort
    if arm.impose is not None:
        lengths = Lengths(arm.impose.mean_tokens, arm.impose.sigma)
        imposed = min(study.max_tokens, lengths.tokens(prompt_id, study.seed))
        body["max_tokens"] = imposed
        if arm.impose.ignore_eos:
            body["ignore_eos"] = True
    tier = None if arm.thinking is None else "reasoning" if arm.thinking else "direct"
    return Question(key, prompt, arm, {**body, **arm.body}, tier, imposed)


async def ask(link: ProxyLink, question: Question, limit_seconds: Seconds) -> tuple[float, Told | Refused]:
    """Ask; a failure is an answer too, as a study goes on after one."""
    began = time.time()
    try:
        return began, await link.ask(question.body, tier=question.tier, limit_seconds=limit_seconds)
    except Refused as refused:
        return began, refused


async def settled(link: ProxyLink, question: Question, began: float, told: Told | Refused, *, keeps_answer: bool) -> Reply:
    """The raw line for an answer, once its energy is final."""
    if isinstance(told, Refused):
        return _failed(question, began, told)
    try:
        record = await link.final_record(told.request_id)
    except Refused as refused:
        return _failed(question, began, refused)
    tokens, energy = record["tokens"], record["energy"]
    if question.arm.estimate is not None:
        energy = _estimated(question.arm, tokens["completion"])
    arm, prompt, repetition, level = question.key
    check = question.prompt.check
    return Reply(
        arm=arm,
        prompt=prompt,
        category=question.prompt.category,
        repetition=repetition,
        level=level,
        outcome=OK if record["outcome"] == "ok" else f"outcome {record['outcome']}",
        started_at=began,
        request_id=told.request_id,
        upstream=record["upstream"],
        model=record["model"],
        prompt_tokens=tokens["prompt"],
        completion_tokens=tokens["completion"],
        reasoning_tokens=tokens["reasoning"],
        words=told.words,
        reasoning_words=told.reasoning_words,
        joules=energy["joules"],
        low=energy["low"],
        high=energy["high"],
        method=energy["method"],
        quality=energy["quality"],
        seconds=told.seconds,
        first_token_seconds=told.first_token_seconds,
        imposed_tokens=question.imposed_tokens,
        score=None if check is None else float(is_right(check, told.content)),
        answer=told.content if keeps_answer else None,
    )


def _estimated(arm: ArmSection, tokens: int | None) -> dict[str, Any]:
    """The middle of the range in the geometric sense: low and high are equally far from it as factors."""
    nothing: dict[str, Any] = {"joules": None, "low": None, "high": None, "method": None, "quality": []}
    if arm.estimate is None or not tokens:
        return nothing
    low, high = tokens * arm.estimate.low_joules_per_token, tokens * arm.estimate.high_joules_per_token
    return {"joules": (low * high) ** 0.5, "low": low, "high": high, "method": "estimated", "quality": ["estimated"]}


def _failed(question: Question, began: float, refused: Refused) -> Reply:
    arm, prompt, repetition, level = question.key
    return Reply(arm, prompt, question.prompt.category, repetition, level, outcome=str(refused) or "refused", started_at=began)
