"""Makes a chat model of random weights, small enough to serve on one core: `python tiny_model.py FOLDER`.

Nothing is fetched. The tokenizer is trained here, on Debian's licence texts or else on Python's own standard library, and the
chat template thinks first (`<think>…</think>`, as Qwen3 does), with the switch `enable_thinking`.
"""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path

import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GenerationConfig, PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

VOCABULARY = 1024
CONTEXT_TOKENS = 4096
HIDDEN = 64
LAYERS = 2
END, START, STOP = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
THINK_TAGS = ("<think>", "</think>")

# GPT-2's split, with one digit to a token: words, digits, punctuation, spaces.
SPLIT = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
TEMPLATE = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + (m['content'] or '') + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n<think>\n' }}"
    "{% if enable_thinking is defined and enable_thinking is false %}{{ '\n</think>\n\n' }}{% endif %}{% endif %}"
)


def training_texts() -> list[str]:
    """Some English that is on any machine: licence texts, or the source of the standard library."""
    licences = [path for path in sorted(Path("/usr/share/common-licenses").glob("*")) if path.is_file()]
    library = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))[:40]
    return [path.read_text(errors="replace") for path in licences or library]


def train_tokenizer(texts: list[str]) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer of `VOCABULARY` tokens, with ChatML's special ones."""
    tokenizer = Tokenizer(models.BPE(unk_token=None))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(pattern=Regex(SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ],
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - len(THINK_TAGS),
        special_tokens=[END, START, STOP],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=STOP,
        pad_token=END,
        additional_special_tokens=[START],
        clean_up_tokenization_spaces=False,
        model_max_length=CONTEXT_TOKENS,
    )
    # As in Qwen3: added but not "special", so that they survive decoding.
    fast.add_tokens([AddedToken(tag, special=False, normalized=False) for tag in THINK_TAGS])
    fast.chat_template = TEMPLATE
    return fast


def random_model(tokenizer: PreTrainedTokenizerFast) -> Qwen3ForCausalLM:
    """A Qwen3 of `LAYERS` layers whose weights are the same on every run."""
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=VOCABULARY,
        hidden_size=HIDDEN,
        intermediate_size=3 * HIDDEN,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        max_position_embeddings=CONTEXT_TOKENS,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        initializer_range=0.2,
    )
    model = Qwen3ForCausalLM(config)
    model.generation_config = GenerationConfig(
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        do_sample=True,
        temperature=1.0,
        max_new_tokens=64,
    )
    return model


def main(folder: str) -> None:
    """Writes tokenizer and weights to `folder`."""
    tokenizer = train_tokenizer(training_texts())
    random_model(tokenizer).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


if __name__ == "__main__":
    main(sys.argv[1])
