"""Multi-head self-attention over space or time, in the form that is fastest for so few joints and frames.

What it computes is Vaswani et al., Attention Is All You Need, 2017; parameter names and their order are those of published
checkpoints.
"""

import torch.nn.functional as F
from torch import Tensor, nn

# Up to so many keys, three plain operations are faster on a CPU than the fused kernel, which is made for long rows.
_SHORT_ROW = 64
# Numbers that a CPU's widest instructions take at once.
_VECTOR = 16
# Below so many multiplications a CPU's batched product takes a plain loop, slower than elementwise products and sums.
_PLAIN_LOOP = 400


class Attention(nn.Module):
    """Multi-head self-attention over the joints of a frame or over the frames of a joint."""

    def __init__(self, dim: int, num_heads: int):
        super().__init__()
        self.num_heads = num_heads
        self.proj = nn.Linear(dim, dim)
        self.qkv = nn.Linear(dim, 3 * dim)

    def forward(self, x: Tensor, over_time: bool) -> Tensor:
        """Map features (B, T, K, C) to the same shape."""
        clips, frames, joints, dim = x.shape
        head_dim = dim // self.num_heads
        projections = list(zip(self.qkv.weight.chunk(3), self.qkv.bias.chunk(3), strict=True))
        if over_time and frames == 1:
            # A softmax over one frame is 1: images pass through their values, and queries and keys change nothing.
            return self.proj(F.linear(x, *projections[2]))
        # With q, k and v projected apart, each is contiguous, so that (joint, head) folds into one axis and time
        # attention reads the stream in place: one projection for all three would have to be copied.
        if over_time:
            folded = (clips, frames, joints * self.num_heads, head_dim)
        else:
            folded = (clips * frames, joints, self.num_heads, head_dim)
        query, key, value = (F.linear(x, *projection).view(folded) for projection in projections)
        return self.proj(_attend(query, key, value).reshape(x.shape))


def _attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Scaled dot-product attention of (B, N, G, D) over N."""
    length, dim = query.shape[1], query.shape[-1]
    is_on_cpu = query.device.type == "cpu"
    if is_on_cpu and length**2 * dim < _PLAIN_LOOP:
        scores = ((query * dim**-0.5).unsqueeze(2) * key.unsqueeze(1)).sum(dim=-1)  # (B, N, N, G)
        return (scores.softmax(dim=2).unsqueeze(-1) * value.unsqueeze(1)).sum(dim=2)
    query, key, value = (part.transpose(1, 2) for part in (query, key, value))
    if is_on_cpu and length <= _SHORT_ROW:
        scores = (query * dim**-0.5) @ key.mT
        if length < _VECTOR:
            # Keys first: the rest is then one long row, where a softmax along so few numbers goes one by one.
            weights = scores.transpose(1, 3).contiguous().softmax(dim=1).transpose(1, 3)
        else:
            weights = scores.softmax(dim=-1)
        mixed = weights @ value
    else:
        mixed = F.scaled_dot_product_attention(query, key, value)
    return mixed.transpose(1, 2)
