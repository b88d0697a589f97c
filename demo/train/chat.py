"""Tokenizer, chat templates and the text both models are trained on."""

import jinja2
from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

END_OF_TEXT, IM_START, IM_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
THINK, END_THINK = "<think>", "</think>"
VOCAB_SIZE = 640
QWEN2_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)

_TEMPLATE = """{%- for message in messages %}
    {%- set content = message.content if message.content else '' %}
HISTORY    {{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\nOPENER' }}
{%- endif %}
"""
_STRIP = """    {%- if message.role == 'assistant' and '</think>' in content %}
        {%- set content = content.split('</think>')[-1] %}
    {%- endif %}
"""
TEMPLATES = {
    "native": _TEMPLATE.replace("HISTORY", "").replace("OPENER", ""),
    "distilled": _TEMPLATE.replace("HISTORY", _STRIP).replace("OPENER", "<think>\\n"),
}


# Compiled with the settings Hugging Face uses.
_COMPILED = {
    name: jinja2.Environment(trim_blocks=True, lstrip_blocks=True).from_string(text) for name, text in TEMPLATES.items()
}


def render(model: str, messages: list[dict]) -> str:
    """The prompt for these messages."""
    return _COMPILED[model].render(messages=messages, add_generation_prompt=True)


def prompt_text(model: str, user: str) -> str:
    return render(model, [{"role": "user", "content": user}])


def target_text(model: str, trace: str, answer: str) -> str:
    """What the model must write: the answer, or the trace and the answer."""
    return answer if model == "native" else f"{trace}\n{END_THINK}\n\n{answer}"


def train_tokenizer(texts) -> Tokenizer:
    """Byte-level BPE with Qwen2's pre-tokenizer: a digit is a token."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(QWEN2_PATTERN), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False)
    tokenizer.post_processor = processors.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False)
    added = [AddedToken(t, normalized=False, special=True) for t in (END_OF_TEXT, IM_START, IM_END)]
    added += [AddedToken(t, normalized=False, special=False) for t in (THINK, END_THINK)]
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE - len(added),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    for token in added:
        (tokenizer.add_special_tokens if token.special else tokenizer.add_tokens)([token])
    return tokenizer
