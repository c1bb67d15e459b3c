"""What a request body asks of the simulated model, whatever its endpoint; pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from ..errors import BadRequest
from ..exchange import Endpoint
from .words import split_tokens

Json: TypeAlias = Mapping[str, object]

TEMPLATE_TOKENS: Final = 4
"""What a chat template adds to a message, in tokens."""
IMAGE_TOKENS: Final = 256
_TEXT_FIELDS: Final = ("text", "thinking", "content", "output", "arguments", "input")


@dataclass(frozen=True, slots=True)
class Tool:
    """A function the model may call; `parameters` is its JSON Schema."""

    name: str
    parameters: Json


@dataclass(frozen=True, slots=True)
class Asked:
    """The few facts that an answer depends on. One prompt; completions, embeddings and rerank may have more."""

    endpoint: Endpoint
    model: str
    prompts: tuple[tuple[str, ...], ...]
    """The tokens of each prompt, all turns and tools included."""
    last_text: str = ""
    """The last user turn, or the prompt."""
    n: int = 1
    max_tokens: int | None = None
    min_tokens: int = 0
    """As vLLM takes it: the answer goes on until then."""
    stream: bool = False
    include_usage: bool = False
    continuous_usage: bool = False
    top_logprobs: int | None = None
    """None: no logprobs are wanted."""
    tool: Tool | None = None
    """The one that will be called."""
    thinking: bool | None = None
    """None: the caller did not say."""
    seed: object = None

    @property
    def sequences(self) -> int:
        """How many answers there will be."""
        return len(self.prompts) * self.n

    @property
    def prompt_tokens(self) -> int:
        """Over all prompts."""
        return sum(map(len, self.prompts))


def read_asked(endpoint: Endpoint, body: Json) -> Asked:
    """What the body asks; raises BadRequest naming the field that is missing or wrong."""
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise BadRequest("you must provide a model parameter", param="model")
    options = body.get("stream_options")
    if options is not None and not body.get("stream"):
        raise BadRequest("Stream options can only be defined when `stream=True`.", param="stream_options")
    prompts, last_text = _read_prompts(endpoint, body)
    if not isinstance(options, Mapping):
        options = {}
    return Asked(
        endpoint,
        model,
        prompts,
        last_text=last_text,
        n=_read_count(body, "n") or 1,
        max_tokens=_read_max_tokens(endpoint, body),
        min_tokens=(_read_count(body, "min_tokens") or 0) if body.get("min_tokens") else 0,
        stream=bool(body.get("stream")),
        include_usage=bool(options.get("include_usage")),
        continuous_usage=bool(options.get("include_usage") and options.get("continuous_usage_stats")),
        top_logprobs=_read_logprobs(endpoint, body),
        tool=_choose_tool(body, last_text),
        thinking=_read_thinking(body),
        seed=body.get("seed"),
    )


def text_of(value: object) -> str:
    """All the text in a message, a content part, or a list of them."""
    match value:
        case str():
            return value
        case list():
            return "\n".join(filter(None, map(text_of, value)))
        case {"type": "image_url" | "input_image" | "image"}:
            return "x" * (4 * IMAGE_TOKENS)
        case dict():
            return "\n".join(filter(None, (text_of(value.get(name)) for name in _TEXT_FIELDS)))
    return ""


def _read_prompts(endpoint: Endpoint, body: Json) -> tuple[tuple[tuple[str, ...], ...], str]:
    match endpoint:
        case Endpoint.CHAT | Endpoint.MESSAGES | Endpoint.COUNT_TOKENS:
            return _read_conversation(_required(body, "messages", list), system=body.get("system"), tools=body.get("tools"))
        case Endpoint.RESPONSES:
            given = _required(body, "input", str, list)
            turns = [{"role": "user", "content": given}] if isinstance(given, str) else given
            return _read_conversation(turns, system=body.get("instructions"), tools=body.get("tools"))
        case Endpoint.RERANK:
            query = str(_required(body, "query", str))
            documents = _required(body, "documents", list)
            pairs = [f"{query}\n{text_of(document)}" for document in documents] if isinstance(documents, list) else []
            return tuple(tuple(split_tokens(pair)) for pair in pairs), query
        case Endpoint.EMBEDDINGS:
            texts = _read_texts(_required(body, "input", str, list), "input")
        case _:
            texts = _read_texts(_required(body, "prompt", str, list), "prompt")
    return texts, "".join(texts[-1])


def _read_conversation(turns: object, *, system: object, tools: object) -> tuple[tuple[tuple[str, ...], ...], str]:
    if not isinstance(turns, list) or not turns or not all(isinstance(turn, dict) for turn in turns):
        raise BadRequest("messages must be a non-empty list of objects", param="messages")
    tokens = split_tokens(text_of(system))
    if tools:
        tokens += split_tokens(json.dumps(tools))
    for turn in turns:
        role = f"<{turn.get('role') or turn.get('type')}>"
        tokens += [role, *split_tokens(text_of(turn)), *["<>"] * (TEMPLATE_TOKENS - 1)]
    users = [text_of(turn.get("content")) for turn in turns if turn.get("role") == "user"]
    return (tuple(tokens),), users[-1] if users else ""


def _read_texts(value: object, param: str) -> tuple[tuple[str, ...], ...]:
    """A text, token ids, or a list of either."""
    items = value if isinstance(value, list) else [value]
    if items and all(isinstance(item, int) for item in items):
        items = [items]
    prompts: list[tuple[str, ...]] = []
    for item in items:
        match item:
            case str():
                prompts.append(tuple(split_tokens(item)) or ("<>",))
            case [int(), *_]:
                prompts.append(tuple(f" {token}" for token in item))
            case _:
                raise BadRequest(f"{param} must be text, token ids, or a list of either", param=param)
    if not prompts:
        raise BadRequest(f"{param} must not be empty", param=param)
    return tuple(prompts)


def _required(body: Json, name: str, *kinds: type) -> object:
    value = body.get(name)
    if not isinstance(value, kinds) or not value:
        raise BadRequest(f"{name} is required", param=name)
    return value


def _read_count(body: Json, name: str) -> int | None:
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise BadRequest(f"{name} must be at least 1, got {value!r}", param=name)
    return value


def _read_max_tokens(endpoint: Endpoint, body: Json) -> int | None:
    if endpoint is Endpoint.MESSAGES and body.get("max_tokens") is None:
        raise BadRequest("max_tokens is required", param="max_tokens")
    counts = (_read_count(body, name) for name in ("max_completion_tokens", "max_output_tokens", "max_tokens"))
    return next((count for count in counts if count is not None), None)


def _read_logprobs(endpoint: Endpoint, body: Json) -> int | None:
    """Chat says `logprobs: true, top_logprobs: 3`, completions `logprobs: 3`."""
    wanted = body.get("logprobs")
    if endpoint is Endpoint.COMPLETIONS:
        return wanted if isinstance(wanted, int) and not isinstance(wanted, bool) else None
    top = body.get("top_logprobs")
    return (top if isinstance(top, int) else 0) if wanted is True else None


def _read_thinking(body: Json) -> bool | None:
    """Every switch that the servers we know understand; the first one given counts."""
    template = body.get("chat_template_kwargs")
    if isinstance(template, Mapping):
        for name in ("enable_thinking", "thinking"):
            if name in template:
                return bool(template[name])
    match body.get("thinking"):
        case {"type": str(kind)}:
            return kind != "disabled"
    reasoning = body.get("reasoning")
    effort = reasoning.get("effort") if isinstance(reasoning, Mapping) else body.get("reasoning_effort")
    return effort != "none" if isinstance(effort, str) else None


def _choose_tool(body: Json, last_text: str) -> Tool | None:
    """The tool that `tool_choice` names or demands; else one where the user's text begins with "call "."""
    tools = _read_tools(body.get("tools"))
    choice = body.get("tool_choice")
    if not tools or choice == "none":
        return None
    match choice:
        case {"function": {"name": str(name)}} | {"name": str(name)}:
            if name not in tools:
                raise BadRequest(f"tool_choice names {name!r}, which is not among the tools", param="tool_choice")
            return tools[name]
        case {"type": "any"} | "required":
            return next(iter(tools.values()))
    if not last_text.lower().startswith("call "):
        return None
    return next((tool for tool in tools.values() if tool.name in last_text), next(iter(tools.values())))


def _read_tools(value: object) -> dict[str, Tool]:
    """By name: chat nests them in `function`, responses has them flat, messages calls the schema `input_schema`."""
    tools: dict[str, Tool] = {}
    for entry in value if isinstance(value, list) else []:
        match entry:
            case {"function": {"name": str(name), **fields}} | {"name": str(name), **fields}:
                schema = fields.get("parameters") or fields.get("input_schema")
                tools[name] = Tool(name, schema if isinstance(schema, dict) else {})
    return tools
