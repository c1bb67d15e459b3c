"""What of a client's request reaches litellm: the fields of OpenAI's chat completions that are named here, and no others.

litellm takes its address, its credentials, its callbacks and more from the same keywords as the request. So what is not on the
list is left out, and what would make litellm fetch something, or run a tool of its own, is refused.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ..errors import BadRequest, Unsupported
from ..exchange import Endpoint

FIELDS: Final = frozenset(
    {"messages", "stream", "stream_options", "n", "stop", "seed", "user", "logprobs", "top_logprobs", "logit_bias"}
    | {"temperature", "top_p", "presence_penalty", "frequency_penalty", "max_tokens", "max_completion_tokens"}
    | {"tools", "tool_choice", "parallel_tool_calls", "functions", "function_call", "response_format", "reasoning_effort"}
)
MESSAGE_FIELDS: Final = frozenset({"role", "content", "name", "tool_calls", "tool_call_id", "function_call", "reasoning_content"})
PARTS: Final = frozenset({"text", "image_url", "input_audio", "refusal"})


def read_fields(endpoint: Endpoint, body: bytes) -> dict[str, Any]:
    """The keywords for litellm in a chat body; raises BadRequest, which names the field, where something is not for it."""
    if endpoint is not Endpoint.CHAT:
        raise Unsupported(f"An upstream of dialect litellm serves {Endpoint.CHAT.value} only.")
    fields = {name: value for name, value in msgspec.json.decode(body).items() if name in FIELDS and value is not None}
    fields["messages"] = [_message(number, message) for number, message in enumerate(fields["messages"])]
    for number, tool in enumerate(fields.get("tools", ())):
        if not isinstance(tool, dict) or tool.get("type") != "function":
            raise Unsupported("An upstream of dialect litellm takes tools of type function only.", param=f"tools[{number}]")
    return fields


def _message(number: int, message: Any) -> dict[str, Any]:
    where = f"messages[{number}]"
    if not isinstance(message, dict):
        raise BadRequest(f"{where} is no object.", param=where)
    content = message.get("content")
    for part in content if isinstance(content, list) else ():
        if not isinstance(part, dict) or part.get("type") not in PARTS:
            raise Unsupported(
                f"An upstream of dialect litellm takes content of the types {', '.join(sorted(PARTS))}.", param=where
            )
        if part["type"] == "image_url" and not _image(part).startswith("data:"):
            raise Unsupported(
                "An upstream of dialect litellm takes images as data: URLs only: it would fetch others.", param=where
            )
    return {name: value for name, value in message.items() if name in MESSAGE_FIELDS}


def _image(part: dict[str, Any]) -> str:
    image = part.get("image_url")
    url = image.get("url") if isinstance(image, dict) else image
    return url if isinstance(url, str) else ""
