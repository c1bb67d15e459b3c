"""What an engine's step costs in joules and seconds, from public measurements.

The energy law is METERING's, `E = F + sum of m_i`, fitted to *The ML.ENERGY Benchmark* (Chung et al., NeurIPS Datasets and
Benchmarks 2025, arXiv 2505.06371; data under Apache-2.0): version 3 of its tables, vLLM 0.11.1, bfloat16, one H100 80GB HBM3.

* Qwen3-8B: `F`, `c_d` and `c_kv`, and the step's time, are least squares with relative residuals over its 15 rows on chat and
  GPQA (batches of 8 to 474, answers of ~650 and ~8,000 tokens, whose different contexts tell `c_kv` apart); worst residual 9 %.
* Llama-3.1-8B: over its 11 rows on chat 3.16 J/step + 0.0665 J/token and 6.5 ms + 0.079 ms/sequence, worst residual 4 %. Its one
  length of answer cannot tell `c_kv` apart, so Qwen's is scaled by the bytes of KV cache per token (128 against 144 KiB) and
  taken out of the token's term at the mean context.
* `c_p` is physics: 2 FLOP per parameter and token at half of the card's 989 TFLOP/s dense bfloat16, at its limit of 700 W. The
  half is an assumption, as are 100 tokens of prompt in the chat rows; the prefill that the tables fold into a token is taken out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from ..exchange import Coefficients
from ..units import Joules, Seconds


@dataclass(frozen=True, slots=True)
class Physics:
    """The energy and time of an engine's steps; a step has decode tokens, their contexts, and prompt tokens."""

    energy: Coefficients
    seconds_per_step: Seconds
    seconds_per_sequence: Seconds
    seconds_per_context_token: Seconds
    seconds_per_prompt_token: Seconds

    def decode_joules(self, context_tokens: int) -> Joules:
        """The marginal energy of one more token behind so long a context."""
        return self.energy.joules_per_token + self.energy.joules_per_context_token * context_tokens

    def prefill_joules(self, prompt_tokens: int) -> Joules:
        """The marginal energy of reading so many prompt tokens."""
        return self.energy.joules_per_prompt_token * prompt_tokens

    def step_seconds(self, *, sequences: int, context_tokens: int, prompt_tokens: int) -> Seconds:
        """How long a step takes while the card stays below its power limit."""
        return (
            self.seconds_per_step
            + self.seconds_per_sequence * sequences
            + self.seconds_per_context_token * context_tokens
            + self.seconds_per_prompt_token * prompt_tokens
        )

    def faster(self, times: float) -> Physics:
        """The same power with every step that many times shorter, and so with as many times fewer joules."""
        energy = self.energy
        return replace(
            self,
            energy=Coefficients(
                energy.fixed_joules_per_step / times,
                energy.joules_per_token / times,
                energy.joules_per_context_token / times,
                energy.joules_per_prompt_token / times,
            ),
            seconds_per_step=self.seconds_per_step / times,
            seconds_per_sequence=self.seconds_per_sequence / times,
            seconds_per_context_token=self.seconds_per_context_token / times,
            seconds_per_prompt_token=self.seconds_per_prompt_token / times,
        )


LLAMA_3_1_8B: Final = Physics(
    energy=Coefficients(
        fixed_joules_per_step=3.16,
        joules_per_token=0.0516,
        joules_per_context_token=3.05e-5,
        joules_per_prompt_token=0.0227,
    ),
    seconds_per_step=6.54e-3,
    seconds_per_sequence=6.7e-5,
    seconds_per_context_token=4.0e-8,
    seconds_per_prompt_token=3.25e-5,
)

QWEN_3_8B: Final = Physics(
    energy=Coefficients(
        fixed_joules_per_step=3.11,
        joules_per_token=0.0505,
        joules_per_context_token=3.43e-5,
        joules_per_prompt_token=0.0232,
    ),
    seconds_per_step=7.71e-3,
    seconds_per_sequence=7.3e-5,
    seconds_per_context_token=4.5e-8,
    seconds_per_prompt_token=3.31e-5,
)

PHYSICS: Final = MappingProxyType({"llama-3.1-8b": LLAMA_3_1_8B, "qwen3-8b": QWEN_3_8B})
"""By name, for whoever starts a simulated server from a command line."""
