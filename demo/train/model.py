"""The Qwen2 architecture in plain PyTorch, small enough to read in one sitting.

Module names follow Hugging Face, so `state_dict()` is the published tensor list.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn


@dataclass(frozen=True)
class Config:
    """Fields carry their config.json names."""

    vocab_size: int = 640
    hidden_size: int = 128
    intermediate_size: int = 384
    num_hidden_layers: int = 4
    num_attention_heads: int = 4
    num_key_value_heads: int = 2
    head_dim: int = 32
    max_position_embeddings: int = 2048
    rms_norm_eps: float = 1e-6
    rope_theta: float = 10000.0


class RMSNorm(nn.Module):
    def __init__(self, size: int, eps: float):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x):
        return F.rms_norm(x.float(), self.weight.shape, self.weight.float(), self.eps).to(x.dtype)


def rope_tables(cfg: Config, start: int, length: int):
    """Cosines and sines for positions start .. start + length - 1; angles in float64."""
    half = cfg.head_dim // 2
    inv_freq = cfg.rope_theta ** (-torch.arange(half, dtype=torch.float64) / half)
    angles = torch.arange(start, start + length, dtype=torch.float64)[:, None] * inv_freq[None, :]
    angles = torch.cat([angles, angles], dim=-1)
    return angles.cos().float(), angles.sin().float()


def rotate(x, cos, sin):
    """Rotary embedding, halves convention."""
    a, b = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-b, a], dim=-1) * sin


class Attention(nn.Module):
    def __init__(self, cfg: Config):
        super().__init__()
        self.cfg = cfg
        h, d = cfg.hidden_size, cfg.head_dim
        self.q_proj = nn.Linear(h, cfg.num_attention_heads * d, bias=True)
        self.k_proj = nn.Linear(h, cfg.num_key_value_heads * d, bias=True)
        self.v_proj = nn.Linear(h, cfg.num_key_value_heads * d, bias=True)
        self.o_proj = nn.Linear(cfg.num_attention_heads * d, h, bias=False)

    def forward(self, x, cos, sin, cache):
        b, t, _ = x.shape
        d = self.cfg.head_dim
        q, k, v = (p(x).view(b, t, -1, d).transpose(1, 2) for p in (self.q_proj, self.k_proj, self.v_proj))
        q, k = rotate(q, cos, sin).to(v.dtype), rotate(k, cos, sin).to(v.dtype)
        if cache is not None:
            if cache:
                k, v = torch.cat([cache[0], k], dim=2), torch.cat([cache[1], v], dim=2)
            cache[:] = [k, v]
        groups = self.cfg.num_attention_heads // self.cfg.num_key_value_heads
        k, v = k.repeat_interleave(groups, dim=1), v.repeat_interleave(groups, dim=1)
        out = F.scaled_dot_product_attention(q, k, v, is_causal=t > 1)
        return self.o_proj(out.transpose(1, 2).reshape(b, t, -1))


class MLP(nn.Module):
    def __init__(self, cfg: Config):
        super().__init__()
        self.gate_proj = nn.Linear(cfg.hidden_size, cfg.intermediate_size, bias=False)
        self.up_proj = nn.Linear(cfg.hidden_size, cfg.intermediate_size, bias=False)
        self.down_proj = nn.Linear(cfg.intermediate_size, cfg.hidden_size, bias=False)

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    def __init__(self, cfg: Config):
        super().__init__()
        self.self_attn = Attention(cfg)
        self.mlp = MLP(cfg)
        self.input_layernorm = RMSNorm(cfg.hidden_size, cfg.rms_norm_eps)
        self.post_attention_layernorm = RMSNorm(cfg.hidden_size, cfg.rms_norm_eps)

    def forward(self, x, cos, sin, cache):
        x = x + self.self_attn(self.input_layernorm(x), cos, sin, cache)
        return x + self.mlp(self.post_attention_layernorm(x))


class Trunk(nn.Module):
    def __init__(self, cfg: Config):
        super().__init__()
        self.embed_tokens = nn.Embedding(cfg.vocab_size, cfg.hidden_size)
        self.layers = nn.ModuleList(Layer(cfg) for _ in range(cfg.num_hidden_layers))
        self.norm = RMSNorm(cfg.hidden_size, cfg.rms_norm_eps)


class Qwen2(nn.Module):
    """Causal language model with tied embeddings."""

    def __init__(self, cfg: Config):
        super().__init__()
        self.cfg = cfg
        self.model = Trunk(cfg)
        for name, p in self.named_parameters():
            if name.endswith(("bias", "o_proj.weight", "down_proj.weight")):
                nn.init.zeros_(p)
            elif p.dim() == 2:
                nn.init.normal_(p, std=0.05 if "embed" in name else p.shape[1] ** -0.5)
        self.wire()

    @torch.no_grad()
    def wire(self):
        """Starts the first two layers as induction heads, which a long training would find.

        Each head of layer 0 looks a fixed distance back (its biases alone decide, through
        the rotary embedding) and carries what it sees forward; each head of layer 1
        finds the places whose carried token is like the present one.
        """
        cfg, d = self.cfg, self.cfg.head_dim
        half, fast = d // 2, d // 4
        first, second = (layer.self_attn for layer in self.model.layers[:2])
        groups = cfg.num_attention_heads // cfg.num_key_value_heads
        slow = [i for i in range(d) if i % half >= fast]
        first.q_proj.weight.mul_(0.1)
        first.k_proj.weight.mul_(0.1)
        angles = cfg.rope_theta ** (-torch.arange(fast).double() / half)
        for head in range(cfg.num_attention_heads):
            kv = head // groups
            rows, shared = slice(head * d, head * d + d), slice(kv * d, kv * d + d)
            turn = angles * -(1 + head % groups)  # how far this head looks back
            start = rows.start
            first.q_proj.bias[start : start + fast] = 5 * turn.cos().float()
            first.q_proj.bias[start + half : start + half + fast] = 5 * turn.sin().float()
            first.k_proj.bias[shared.start : shared.start + fast] = 5
            if head % groups == 0:
                seen, carried = first.v_proj.weight[shared], second.k_proj.weight[shared]
                first.o_proj.weight[:, rows] = 0.15 * carried.T
                match = torch.zeros_like(seen)
                match[slow] = 2 * seen[slow]
                carried *= 2
            second.q_proj.weight[rows] = match
            second.o_proj.weight[:, rows] = 0.1 * second.v_proj.weight[shared].T

    def hidden(self, ids, caches=None):
        """Final hidden states of a [batch, time] tensor of ids."""
        start = caches[0][0].shape[2] if caches and caches[0] else 0
        cos, sin = rope_tables(self.cfg, start, ids.shape[1])
        x = self.model.embed_tokens(ids)
        for i, layer in enumerate(self.model.layers):
            x = layer(x, cos, sin, caches[i] if caches is not None else None)
        return self.model.norm(x)

    def logits(self, hidden):
        return F.linear(hidden, self.model.embed_tokens.weight)

    @torch.no_grad()
    def greedy(self, prompt: list[int], eos: int, limit: int) -> list[int]:
        """Greedy continuation, without the end-of-sequence token."""
        caches = [[] for _ in range(self.cfg.num_hidden_layers)]
        ids, out = torch.tensor([prompt]), []
        while len(out) < limit:
            token = int(self.logits(self.hidden(ids, caches)[:, -1]).argmax())
            if token == eos:
                break
            out.append(token)
            ids = torch.tensor([[token]])
        return out
