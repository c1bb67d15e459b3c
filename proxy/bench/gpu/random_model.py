"""A Llama of random weights, made on the spot for `transformers serve`; nothing is fetched.

Its tokenizer knows the words of our prompts, single characters, and made-up words for the rest of the vocabulary, so that
every token is text and a prompt's words are a token each. It never ends an answer by itself: it gives the
length that is asked for.
"""

from __future__ import annotations

import string
from typing import Final

import click
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoModelForCausalLM, GenerationConfig, LlamaConfig, PreTrainedModel, PreTrainedTokenizerFast

from ...calibration.streams import write_prompt
from .decoder import SHAPES, Shape

CONTEXT_TOKENS: Final = 8192
END, UNKNOWN = "<end>", "<unknown>"
CONTINUED: Final = "##"
"""Before a piece of a word that is not its first."""
TEMPLATE: Final = "{% for message in messages %}{{ message['content'] }} {% endfor %}"


def make_tokenizer(size: int) -> PreTrainedTokenizerFast:
    """A vocabulary of so many tokens."""
    signs = string.ascii_letters + string.digits + string.punctuation
    known = [END, UNKNOWN, *signs, *(CONTINUED + sign for sign in signs), *sorted(set(write_prompt(100).split()[1:]))]
    vocabulary = {
        token: number for number, token in enumerate([*known, *(f"word{number}" for number in range(len(known), size))])
    }
    tokenizer = Tokenizer(models.WordPiece(vocab=vocabulary, unk_token=UNKNOWN, continuing_subword_prefix=CONTINUED))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.decoder = decoders.WordPiece(prefix=CONTINUED, cleanup=False)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=END, pad_token=END, unk_token=UNKNOWN, model_max_length=CONTEXT_TOKENS
    )
    fast.chat_template = TEMPLATE
    return fast


def make_model(shape: Shape, device: str) -> PreTrainedModel:
    """The weights, in bfloat16 as they would be; on a processor in float32, which every one computes."""
    config = LlamaConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        intermediate_size=shape.feed_forward,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.groups,
        max_position_embeddings=CONTEXT_TOKENS,
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=0,
        pad_token_id=0,
    )
    with torch.device(device):
        model: PreTrainedModel = AutoModelForCausalLM.from_config(
            config, dtype=torch.float32 if device == "cpu" else torch.bfloat16
        )
    with torch.no_grad():
        model.lm_head.weight[0] = 0.0  # the end's score is zero, and of so many others one is always above it
    model.generation_config = GenerationConfig(eos_token_id=0, pad_token_id=0, do_sample=False, max_new_tokens=64)
    return model


@click.command()
@click.option("--shape", type=click.Choice(list(SHAPES)), required=True)
@click.option("--folder", required=True)
@click.option("--device", default="cuda")
def main(shape: str, folder: str, device: str) -> None:
    """Write one to a folder."""
    sizes = SHAPES[shape]
    make_model(sizes, device).save_pretrained(folder)
    make_tokenizer(sizes.vocabulary).save_pretrained(folder)


if __name__ == "__main__":
    main()
