"""performer-pytorch's own language model, as the package has it for a CPU."""
import torch
from performer_pytorch import PerformerLM

import common as c


def main():
    a = c.arguments()
    torch.manual_seed(1)
    model = PerformerLM(
        num_tokens=c.VOCABULARY, max_seq_len=a.length, dim=c.WIDTH, depth=c.LAYERS, heads=c.HEADS, dim_head=c.HEAD_SIZE, causal=True,
        nb_features=c.FEATURES, feature_redraw_interval=None, rotary_position_emb=False, auto_check_redraw=False)
    optimizer = torch.optim.Adam(model.parameters(), lr=c.LEARNING_RATE, betas=(c.BETA1, c.BETA2), eps=c.EPSILON)
    tokens, targets = (torch.from_numpy(x).long() for x in c.batch(a.batch, a.length))

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss = torch.nn.functional.cross_entropy(model(tokens).flatten(0, 1), targets.flatten())
        loss.backward()
        optimizer.step()
        return loss.item()

    c.serve(step)


main()
