"""Trains one of the pair: `python train.py native` or `python train.py distilled`.

Both start from the same weights and see the same problems in the same order, as
often as each other; only the text they learn to write differs.
"""

import argparse
import json
import math
import random
import time
from collections import Counter
from itertools import islice
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

import chat
from model import Config, Qwen2
from problems import KINDS, train_problems, user_turn
from teacher import best_trace

SEED = 7
EXAMPLES = 80_000
TOKENIZER_EXAMPLES = 8_000
BATCH = 16
MUON_LR, ADAM_LR, WEIGHT_DECAY = 0.005, 2e-3, 0.01
WARMUP = 100
WATCHED_SEED, WATCHED = 2, 240
OUT = Path(__file__).resolve().parent.parent


def curriculum(count: int, problems):
    """`count` problems with a kept trace each, and the filter's counts."""
    rng, counts, pairs = random.Random(SEED), Counter(), []
    for problem in problems:
        trace = best_trace(problem, rng, counts)
        if trace is None:
            counts["problems without a trace"] += 1
            continue
        pairs.append((problem, trace))
        if len(pairs) == count:
            return pairs, counts


def make_tokenizer(pairs):
    return chat.train_tokenizer(
        chat.prompt_text("distilled", user_turn(p.kind, p.item)) + chat.target_text("distilled", trace, p.answer)
        for p, trace in pairs[-TOKENIZER_EXAMPLES:]
    )


def encode(tokenizer, model: str, pairs):
    """(ids, prompt length) for each pair; the prompt is encoded as the engine will."""
    prompts = [chat.prompt_text(model, user_turn(p.kind, p.item)) for p, _ in pairs]
    targets = [chat.target_text(model, trace, p.answer) + chat.IM_END for p, trace in pairs]
    heads, tails = tokenizer.encode_batch(prompts), tokenizer.encode_batch(targets)
    return [(h.ids + t.ids, len(h.ids)) for h, t in zip(heads, tails, strict=True)]


def batches(examples, rng: random.Random):
    """Batches of similar length, in random order."""
    window = BATCH * 50
    for start in range(0, len(examples), window):
        rows = sorted(examples[start : start + window], key=lambda r: len(r[0]))
        groups = [rows[i : i + BATCH] for i in range(0, len(rows), BATCH)]
        rng.shuffle(groups)
        yield from groups


def collate(rows):
    """Right-padded ids, and labels that are -100 except on the target."""
    width = max(len(ids) for ids, _ in rows)
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    labels = torch.full((len(rows), width), -100)
    for i, (row, prompt) in enumerate(rows):
        ids[i, : len(row)] = torch.tensor(row)
        labels[i, prompt - 1 : len(row) - 1] = ids[i, prompt : len(row)]
    return ids, labels


def loss_of(model, rows):
    ids, labels = collate(rows)
    keep = labels >= 0
    return F.cross_entropy(model.logits(model.hidden(ids)[keep]).float(), labels[keep])


def rate(step: int, steps: int) -> float:
    """Warm up, then fall along a cosine."""
    return min(1.0, (step + 1) / WARMUP) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * step / steps)))


def optimizers(model):
    """Muon for the layers' matrices, AdamW for embeddings, norms and biases."""
    matrices, rest = [], []
    for name, p in model.named_parameters():
        (matrices if p.dim() == 2 and "embed" not in name else rest).append(p)
    return [
        torch.optim.Muon(matrices, lr=MUON_LR, momentum=0.95, weight_decay=WEIGHT_DECAY),
        torch.optim.AdamW(rest, lr=ADAM_LR, betas=(0.9, 0.98), weight_decay=0, fused=True),
    ]


@torch.no_grad()
def watch(model, watched) -> str:
    """Loss by kind on problems of full difficulty, to see where training stands."""
    return " ".join(f"{kind} {loss_of(model, rows).item():.3f}" for kind, rows in watched.items())


def train(name: str, cfg: Config, examples, watched, log_every: int = 200):
    torch.manual_seed(SEED)
    model = Qwen2(cfg)
    steps = math.ceil(len(examples) / BATCH)
    opts = optimizers(model)
    schedules = [torch.optim.lr_scheduler.LambdaLR(o, lambda s: rate(s, steps)) for o in opts]
    rng, total, tokens, begin = random.Random(SEED), 0.0, 0, time.monotonic()
    for step, rows in enumerate(batches(examples, rng), 1):
        loss = loss_of(model, rows)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for part in (*opts, *schedules):
            part.step()
        model.zero_grad()
        total += loss.item()
        tokens += sum(len(ids) for ids, _ in rows)
        if step % log_every == 0 or step == steps:
            seconds = time.monotonic() - begin
            print(
                f"{name} {step}/{steps} {seconds:.0f} s {tokens} tokens "
                f"loss {total / log_every:.4f} | {watch(model, watched)}",
                flush=True,
            )
            total = 0.0
    return model


def export(name: str, model: Qwen2, tokenizer, folder: Path):
    """The folder that Hugging Face and touchstone read."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {k: v.to(torch.bfloat16).contiguous() for k, v in model.state_dict().items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    tokenizer.save(str(folder / "tokenizer.json"))
    ids = {t: tokenizer.token_to_id(t) for t in (chat.END_OF_TEXT, chat.IM_END)}
    cfg = model.cfg
    config = {
        "architectures": ["Qwen2ForCausalLM"],
        "model_type": "qwen2",
        "attention_dropout": 0.0,
        "bos_token_id": None,
        "eos_token_id": ids[chat.IM_END],
        "hidden_act": "silu",
        **vars(cfg),
        "initializer_range": 0.02,
        "tie_word_embeddings": True,
        "torch_dtype": "bfloat16",
        "use_cache": True,
        "use_sliding_window": False,
    }
    generation = {"do_sample": False, "eos_token_id": ids[chat.IM_END], "pad_token_id": ids[chat.END_OF_TEXT]}
    added = {
        str(i): {
            "content": t.content,
            "lstrip": t.lstrip,
            "normalized": t.normalized,
            "rstrip": t.rstrip,
            "single_word": t.single_word,
            "special": t.special,
        }
        for i, t in sorted(tokenizer.get_added_tokens_decoder().items())
    }
    tokenizer_config = {
        "add_bos_token": False,
        "add_prefix_space": False,
        "added_tokens_decoder": added,
        "bos_token": None,
        "chat_template": chat.TEMPLATES[name],
        "clean_up_tokenization_spaces": False,
        "eos_token": chat.IM_END,
        "errors": "replace",
        "model_max_length": cfg.max_position_embeddings,
        "pad_token": chat.END_OF_TEXT,
        "split_special_tokens": False,
        "tokenizer_class": "Qwen2Tokenizer",
        "unk_token": None,
    }
    for file, content in (
        ("config.json", config),
        ("generation_config.json", generation),
        ("tokenizer_config.json", tokenizer_config),
    ):
        (folder / file).write_text(json.dumps(content, indent=2) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", choices=list(chat.TEMPLATES))
    parser.add_argument("--examples", type=int, default=EXAMPLES)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    pairs, counts = curriculum(args.examples, train_problems())
    print(json.dumps(counts), flush=True)
    tokenizer = make_tokenizer(pairs)
    examples = encode(tokenizer, args.model, pairs)
    hard, _ = curriculum(WATCHED, islice(train_problems(WATCHED_SEED), 25_000, None))
    watched = {kind: encode(tokenizer, args.model, [pair for pair in hard if pair[0].kind == kind]) for kind in KINDS}
    model = train(args.model, Config(), examples, watched)
    export(args.model, model, tokenizer, args.out / args.model)


if __name__ == "__main__":
    main()
