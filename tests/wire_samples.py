"""Replies in the shapes of the servers that jevons stands before, written out byte by byte."""

from __future__ import annotations

from itertools import pairwise


def sse(*events: bytes, end: bytes = b"\n\n") -> bytes:
    """Events with their data, each ended by an empty line."""
    return b"".join(b"data: " + event + end for event in events)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """`data` in pieces, cut at `places` (taken modulo its length)."""
    ends = sorted({place % (len(data) + 1) for place in places} | {0, len(data)})
    return [data[start:end] for start, end in pairwise(ends)]


VLLM_CHAT = sse(
    b'{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,'
    b'"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]}',
    b'{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,'
    b'"delta":{"reasoning":"Hm","reasoning_content":"Hm"},"logprobs":null,"finish_reason":null}]}',
    b'{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,'
    b'"delta":{"reasoning":" so","reasoning_content":" so"},"logprobs":null,"finish_reason":null}]}',
    b'{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,'
    b'"delta":{"content":"Paris"},"logprobs":{"content":[{"token":"Paris","logprob":-0.10,"bytes":[80],"top_logprobs":[]}]},'
    b'"finish_reason":null}]}',
    b'{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,'
    b'"delta":{"content":"."},"logprobs":null,"finish_reason":"stop","stop_reason":null}]}',
    b'{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[],'
    b'"usage":{"prompt_tokens":12,"total_tokens":20,"completion_tokens":8,"prompt_tokens_details":{"cached_tokens":4}}}',
    b"[DONE]",
)

VLLM_CONTINUOUS = sse(
    b'{"id":"c","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}],'
    b'"usage":{"prompt_tokens":12,"total_tokens":12,"completion_tokens":0}}',
    b'{"id":"c","choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}],'
    b'"usage":{"prompt_tokens":12,"total_tokens":13,"completion_tokens":1}}',
    b'{"id":"c","choices":[{"index":0,"delta":{"content":"b"},"finish_reason":null}],'
    b'"usage":{"prompt_tokens":12,"total_tokens":14,"completion_tokens":2}}',
)

SGLANG_CHAT = sse(
    b'{"id":"1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"role":"assistant",'
    b'"content":"","reasoning_content":null,"tool_calls":null},"logprobs":null,"finish_reason":null,"matched_stop":null}],'
    b'"usage":null}',
    b'{"id":"1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"role":null,'
    b'"content":null,"reasoning_content":"Let","tool_calls":null},"logprobs":null,"finish_reason":null,"matched_stop":null}],'
    b'"usage":null}',
    b'{"id":"1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"role":null,'
    b'"content":"Yes","reasoning_content":null,"tool_calls":null},"logprobs":null,"finish_reason":null,"matched_stop":null}],'
    b'"usage":null}',
    b'{"id":"1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"role":null,'
    b'"content":null,"reasoning_content":null,"tool_calls":null},"logprobs":null,"finish_reason":"stop","matched_stop":2}],'
    b'"usage":null}',
    b'{"id":"1","object":"chat.completion.chunk","created":1,"model":"m","choices":[],"usage":{"prompt_tokens":9,'
    b'"total_tokens":14,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":1},"reasoning_tokens":3}}',
    b"[DONE]",
)

LLAMA_CPP_CHAT = sse(
    b'{"choices":[{"finish_reason":null,"index":0,"delta":{"role":"assistant","content":null}}],"created":1,"id":"chatcmpl-x",'
    b'"model":"gpt","system_fingerprint":"b1","object":"chat.completion.chunk"}',
    b'{"choices":[{"finish_reason":null,"index":0,"delta":{"content":"Hi"}}],"created":1,"id":"chatcmpl-x",'
    b'"model":"gpt","system_fingerprint":"b1","object":"chat.completion.chunk"}',
    b'{"choices":[{"finish_reason":"stop","index":0,"delta":{}}],"created":1,"id":"chatcmpl-x","model":"gpt",'
    b'"system_fingerprint":"b1","object":"chat.completion.chunk","timings":{"cache_n":20,"prompt_n":5,"prompt_ms":203.378,'
    b'"predicted_n":2,"predicted_ms":33.6}}',
    b"[DONE]",
)

OLLAMA_CHAT = sse(
    b'{"id":"chatcmpl-9","object":"chat.completion.chunk","created":1,"model":"q","system_fingerprint":"fp_ollama",'
    b'"choices":[{"index":0,"delta":{"role":"assistant","content":"","reasoning":"Okay"},"finish_reason":null}]}',
    b'{"id":"chatcmpl-9","object":"chat.completion.chunk","created":1,"model":"q","system_fingerprint":"fp_ollama",'
    b'"choices":[{"index":0,"delta":{"role":"assistant","content":"1 \\u003c 2"},"finish_reason":null}]}',
    b'{"id":"chatcmpl-9","object":"chat.completion.chunk","created":1,"model":"q","system_fingerprint":"fp_ollama",'
    b'"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":"stop"}]}',
    b'{"id":"chatcmpl-9","object":"chat.completion.chunk","created":1,"model":"q","system_fingerprint":"fp_ollama",'
    b'"choices":[],"usage":{"prompt_tokens":17,"completion_tokens":40,"total_tokens":57}}',
    b"[DONE]",
)

OLLAMA_COMPLETIONS = sse(
    b'{"id":"cmpl-1","object":"text_completion","created":1,"choices":[{"text":"Once","index":0,"finish_reason":null}],'
    b'"model":"q","system_fingerprint":"fp_ollama","usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}}',
    b'{"id":"cmpl-1","object":"text_completion","created":1,"choices":[{"text":" upon","index":0,"finish_reason":null}],'
    b'"model":"q","system_fingerprint":"fp_ollama","usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}}',
    b'{"id":"cmpl-1","object":"text_completion","created":1,"choices":[{"text":"","index":0,"finish_reason":"stop"}],'
    b'"model":"q","system_fingerprint":"fp_ollama","usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}',
    b"[DONE]",
)

OPENAI_CHAT = sse(
    b'{"id":"chatcmpl-A","object":"chat.completion.chunk","created":1,"model":"gpt-4o","service_tier":"default","choices":'
    b'[{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":null}],"usage":null}',
    b'{"id":"chatcmpl-A","object":"chat.completion.chunk","created":1,"model":"gpt-4o","service_tier":"default","choices":'
    b'[{"index":0,"delta":{"content":"Hello"},"logprobs":null,"finish_reason":null}],"usage":null}',
    b'{"id":"chatcmpl-A","object":"chat.completion.chunk","created":1,"model":"gpt-4o","service_tier":"default","choices":'
    b'[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}],"usage":null}',
    b'{"id":"chatcmpl-A","object":"chat.completion.chunk","created":1,"model":"gpt-4o","service_tier":"default","choices":[],'
    b'"usage":{"prompt_tokens":9,"completion_tokens":30,"total_tokens":39,"prompt_tokens_details":{"cached_tokens":0,'
    b'"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":21,"audio_tokens":0}}}',
    b"[DONE]",
)

TOOL_CHAT = sse(
    b'{"id":"t","choices":[{"index":0,"delta":{"role":"assistant","content":null},"finish_reason":null}]}',
    b'{"id":"t","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"call_1","type":"function","function":'
    b'{"name":"weather","arguments":""}}]},"finish_reason":null}]}',
    b'{"id":"t","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\\"usage\\":{"}}]},'
    b'"finish_reason":null}]}',
    b'{"id":"t","choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}',
    b"[DONE]",
)

SPACED_CHAT = sse(
    b'{"id": "s", "choices": [{"index": 0, "delta": {"role": "assistant"}, "finish_reason": null}]}',
    b'{"id": "s", "choices": [{"index": 0, "delta": {"content": "one"}, "finish_reason": null}]}',
    b'{"id": "s", "choices": [{"index": 0, "delta": {"content": " two"}, "finish_reason": null}]}',
    b'{"id": "s", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}',
    b'{"id": "s", "choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}}',
    b"[DONE]",
)

MESSAGES = (
    b'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant",'
    b'"model":"m","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":10,'
    b'"cache_creation_input_tokens":0,"cache_read_input_tokens":90,"output_tokens":1}}}\n\n'
    b'event: ping\ndata: {"type":"ping"}\n\n'
    b'event: content_block_start\ndata: {"type":"content_block_start","index":0,"content_block":{"type":"thinking",'
    b'"thinking":"","signature":""}}\n\n'
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta",'
    b'"thinking":"Let me"}}\n\n'
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"signature_delta",'
    b'"signature":"abc"}}\n\n'
    b'event: content_block_stop\ndata: {"type":"content_block_stop","index":0}\n\n'
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":1,"delta":{"type":"text_delta",'
    b'"text":"Hello"}}\n\n'
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":1,"delta":{"type":"text_delta",'
    b'"text":"!"}}\n\n'
    b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},'
    b'"usage":{"output_tokens":30}}\n\n'
    b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
)

RESPONSES = (
    b'event: response.created\ndata: {"type":"response.created","sequence_number":0,"response":{"id":"resp_1",'
    b'"object":"response","status":"in_progress","error":null,"output":[],"usage":null}}\n\n'
    b'event: response.reasoning_text.delta\ndata: {"type":"response.reasoning_text.delta","sequence_number":1,'
    b'"item_id":"rs_1","output_index":0,"content_index":0,"delta":"Hm"}\n\n'
    b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","sequence_number":2,'
    b'"item_id":"msg_1","output_index":1,"content_index":0,"delta":"Hi","logprobs":[]}\n\n'
    b'event: response.function_call_arguments.delta\ndata: {"type":"response.function_call_arguments.delta",'
    b'"sequence_number":3,"item_id":"fc_1","output_index":2,"delta":"{}"}\n\n'
    b'event: response.output_text.done\ndata: {"type":"response.output_text.done","sequence_number":4,"text":"Hi"}\n\n'
    b'event: response.completed\ndata: {"type":"response.completed","sequence_number":5,"response":{"id":"resp_1",'
    b'"object":"response","status":"completed","error":null,"temperature":0.70,"output":[],"usage":{"input_tokens":36,'
    b'"input_tokens_details":{"cached_tokens":2},"output_tokens":87,"output_tokens_details":{"reasoning_tokens":40},'
    b'"total_tokens":123}}}\n\n'
)
