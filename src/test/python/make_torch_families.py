"""Small random models of PyTorch's transformers, with what Python computes from them: torch_families.zip.

    python make_torch_families.py OUTPUT [SEED]    (transformers 4.49 or 5, torch)

Folders as those of make_families.py. What Python computes at padding is NaN where a model here computes something else there:
ESM's embeddings are 0 at padding, here only with token dropout and without a norm of embeddings.
"""
import json
import os
import random
import shutil
import sys

import numpy as np
import torch
import transformers as t

root = sys.argv[1]
seed = int(sys.argv[2]) if len(sys.argv) > 2 else 7
rng = np.random.default_rng(seed)
MASK, PAD, LENGTH = 32, 1, 24
RESIDUES = "LAGVSERTIDPKQNFYMHWCXBUZO.-"
TOKENS = ["<cls>", "<pad>", "<eos>", "<unk>", *RESIDUES, "<null_1>", "<mask>"]


def randomize(model, scale=0.35):
    with torch.no_grad():
        for name, weight in model.named_parameters():
            value = torch.tensor(rng.normal(size=tuple(weight.shape)).astype("float32") * scale)
            isNorm = name.endswith("weight") and ("orm" in name.rsplit(".", 2)[-2])
            weight.copy_(value + 1 if isNorm else value)


def halve(model):
    """Rotary frequencies as Meta's files have them, rounded to half precision."""
    with torch.no_grad():
        for name, buffer in model.named_buffers():
            if name.endswith("inv_freq"):
                buffer.copy_(buffer.half().float())


def proteins():
    """<cls> residues <eos>, of several lengths, some masked; padding behind."""
    tokens = np.full((4, 13), PAD, "int64")
    for row, length in enumerate([13, 9, 4, 13]):
        tokens[row, :length] = rng.integers(4, 31, length)
        tokens[row, 0], tokens[row, length - 1] = 0, 2
    tokens[0, [3, 4, 8]] = MASK
    tokens[1, 5] = MASK
    return tokens, (tokens != PAD).astype("int64")


def esm(name, kind, half=False, padding=True, **keys):
    folder = os.path.join(root, name)
    shutil.rmtree(folder, ignore_errors=True)
    config = t.EsmConfig(vocab_size=33, mask_token_id=MASK, pad_token_id=PAD, max_position_embeddings=LENGTH + 2, layer_norm_eps=1e-5, **keys)
    model = getattr(t, kind)(config).eval()
    randomize(model)
    if half:
        halve(model)
    model.save_pretrained(folder, safe_serialization=True)
    tokens, mask = proteins()
    with torch.no_grad():
        out = model(torch.tensor(tokens), attention_mask=torch.tensor(mask), output_hidden_states=True)
    expected = {"tokens": tokens.astype("int32"), "mask": mask.astype("int32")}
    expected["sequence"] = getattr(out, "last_hidden_state", out.hidden_states[-1]).numpy()
    if getattr(out, "pooler_output", None) is not None:
        expected["pooled"] = out.pooler_output.numpy()
    if getattr(out, "logits", None) is not None:
        expected["class_logits" if out.logits.ndim == 2 else "logits"] = out.logits.numpy()
    for key in ("sequence", "logits"):
        if key in expected and not padding:
            expected[key][mask == 0] = np.nan
    np.savez_compressed(f"{folder}/expected.npz", **expected)
    print(name, sorted(expected), sorted(k for k in model.state_dict() if "0" not in k)[:40])
    return folder


def tokenizer(folder):
    with open(f"{folder}/words.txt", "w") as file:
        file.write("\n".join(TOKENS))
    made = t.EsmTokenizer(f"{folder}/words.txt")
    made.save_pretrained(folder)
    os.remove(f"{folder}/words.txt")
    pick = random.Random(seed)
    texts = ["", "M", "MKTAYIAKQR", "MK<mask>AY", "M K T", " MKT ", "MKTJAY", "mKt", "M-K.T", "<mask><mask>", "MK*", "M\nK", "<cls>MK<eos>"]
    texts += ["".join(pick.choices(RESIDUES, k=pick.randint(1, 60))) for _ in range(12)]
    with open(f"{folder}/texts.json", "w") as file:
        json.dump([{"text": text, "ids": made(text)["input_ids"]} for text in texts], file)


os.makedirs(root, exist_ok=True)
small = dict(hidden_size=12, num_attention_heads=2, num_hidden_layers=2, intermediate_size=20)  # D = 6
esm2 = dict(small, position_embedding_type="rotary", emb_layer_norm_before=False, token_dropout=True)
tokenizer(esm("esm2_mlm", "EsmForMaskedLM", half=True, **esm2))
esm("esm2_encoder", "EsmModel", padding=False, **dict(esm2, hidden_size=20, token_dropout=False))  # D = 10
esm("esm2_classifier", "EsmForSequenceClassification", num_labels=3, **esm2)
esm("esm1b_mlm", "EsmForMaskedLM", padding=False, **dict(small, position_embedding_type="absolute", emb_layer_norm_before=True, token_dropout=True))
