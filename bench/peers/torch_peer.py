"""PyTorch: performer-pytorch's own language model as the package has it for a CPU, or with --form chunked the model in plain PyTorch."""
import torch
import torch.nn.functional as f

import common as c

CHUNK = 128


def features(x, p, dims):
    x = x * c.HEAD_SIZE**-0.25
    u = x @ p.T - 0.5 * (x * x).sum(-1, keepdim=True)  # [B, H, L, M]
    return torch.exp(u - u.detach().amax(dims, keepdim=True)) + 1e-6


def causal(q, k, v):
    b, h, length, _ = q.shape
    v = torch.cat([v, torch.ones_like(v[..., :1])], -1)
    q, k, v = (x.view(b, h, length // CHUNK, CHUNK, -1) for x in (q, k, v))
    states = k.transpose(-1, -2) @ v  # [B, H, N, M, D+1]
    before = states.cumsum(2) - states
    out = ((q @ k.transpose(-1, -2)).tril() @ v + q @ before).view(b, h, length, -1)
    return out[..., :-1] / out[..., -1:]


class Chunked(torch.nn.Module):
    def __init__(self, length):
        super().__init__()
        self.w = torch.nn.ParameterDict({name.replace("/", "_"): torch.from_numpy(x) for name, x in c.initial(length).items()})
        self.projections = [torch.from_numpy(c.projection(i)) for i in range(c.LAYERS)]

    def norm(self, x, name):
        return f.layer_norm(x, (c.WIDTH,), self.w[name + "_scale"], self.w[name + "_bias"], 1e-6)

    def forward(self, tokens):
        w, (b, length) = self.w, tokens.shape
        heads = lambda x: x.view(b, length, c.HEADS, c.HEAD_SIZE).transpose(1, 2)
        x = w["token"][tokens] + w["position"]
        for i, p in enumerate(self.projections):
            y = self.norm(x, f"{i}_norm1")
            q, k, v = (heads(y @ w[f"{i}_{n}"]) for n in ("query", "key", "value"))
            y = causal(features(q, p, -1), features(k, p, (-1, -2)), v)
            x = x + y.transpose(1, 2).reshape(b, length, c.WIDTH) @ w[f"{i}_out"]
            y = self.norm(x, f"{i}_norm2")
            y = f.gelu(y @ w[f"{i}_up_kernel"] + w[f"{i}_up_bias"], approximate="tanh")
            x = x + y @ w[f"{i}_down_kernel"] + w[f"{i}_down_bias"]
        return self.norm(x, "norm") @ w["output_kernel"] + w["output_bias"]


def package(length):
    from performer_pytorch import PerformerLM

    return PerformerLM(
        num_tokens=c.VOCABULARY, max_seq_len=length, dim=c.WIDTH, depth=c.LAYERS, heads=c.HEADS, dim_head=c.HEAD_SIZE, causal=True,
        nb_features=c.FEATURES, feature_redraw_interval=None, rotary_position_emb=False, auto_check_redraw=False)


def main():
    a = c.arguments()
    torch.manual_seed(1)
    model = Chunked(a.length) if a.form == "chunked" else package(a.length)
    optimizer = torch.optim.Adam(model.parameters(), lr=c.LEARNING_RATE, betas=(c.BETA1, c.BETA2), eps=c.EPSILON)
    tokens, targets = (torch.from_numpy(x).long() for x in c.batch(a.batch, a.length))

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss = f.cross_entropy(model(tokens).flatten(0, 1), targets.flatten())
        loss.backward()
        optimizer.step()
        return loss.item()

    c.serve(step)


main()
