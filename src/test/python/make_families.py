"""Small random models of Hugging Face's and KerasHub's families, with what Python computes from them.

    TF_USE_LEGACY_KERAS=1 python make_families.py OUTPUT hugging-face [SEED]    (transformers 4.49, TensorFlow 2.18)
    python make_families.py OUTPUT keras-hub [SEED]                             (keras-hub 0.31, Keras 3)

Each folder is a checkpoint with `expected.npz`: tokens, mask, types (of BERT) in; sequence, pooled, logits, class_logits and
`greedy` (a prompt and what follows it) out. `texts.json` has texts and their token ids. Of the models, one has PyTorch's names,
one TensorFlow's in .safetensors, one TensorFlow's in .h5: PyTorch's are those that transformers itself turns TensorFlow's into.
"""
import json
import os
import random
import shutil
import sys

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
import numpy as np

root, what = sys.argv[1:3]
seed = int(sys.argv[3]) if len(sys.argv) > 3 else 7
rng = np.random.default_rng(seed)
WIDTH, LAYERS, HEADS, MLP, LENGTH = 8, 2, 2, 12, 24
SPECIAL_BPE = {"gpt2": ["<|endoftext|>"], "roberta": ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]}
SPECIAL_BERT = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
CORPUS = [
    "The quick brown fox jumps over the lazy dog.", "What Python trains, Java trains: the numbers are the same.",
    "Attention in time and memory linear in the length.", "It's the café's naïve façade, isn't it? 東京 is 東京.",
    "In 2020 the 12 Performers took 3.5 hours and $100.", "We'll see; they've been there, haven't they?",
]


def texts():
    """A few hundred: words of the corpus, spaces, unicode, emoji, special tokens."""
    pick = random.Random(seed)
    words = [w for line in CORPUS for w in line.split()]
    odd = ["👍", "👩‍👩‍👧", "é", "e\u0301", "東京", "ﬁ", "ß", "İ", "\u00a0", "\u200b", "…", "–", "don't", "I'LL", "x²", "Ωmega",
           "привет", "مرحبا", "नमस्ते", "\t", "\n", "\r\n", "  ", "   ", "12345", "3.14", "a_b", "#tag", "@me", "http://x.y/z?a=b"]
    marks = [t for group in SPECIAL_BPE.values() for t in group] + SPECIAL_BERT
    made = ["", " ", "  ", "a", " a", "a ", "\n", "<|endoftext|>", " <mask>", "<mask> ", "[MASK]"] + CORPUS
    while len(made) < 300:
        parts = pick.choices(words + odd, k=pick.randint(1, 9))
        if pick.random() < 0.2:
            parts.insert(pick.randint(0, len(parts)), pick.choice(marks))
        made.append(pick.choice([" ", "", " "]).join(parts) if pick.random() < 0.8 else " " + " ".join(parts) + " ")
    return made


def byte_bpe(family, folder, words="vocab.json"):
    """Trains byte-level BPE; writes vocabulary and merges."""
    from tokenizers import ByteLevelBPETokenizer

    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator(CORPUS, vocab_size=330, min_frequency=1, special_tokens=SPECIAL_BPE[family])
    os.makedirs(folder, exist_ok=True)
    bpe.save_model(folder)
    if words != "vocab.json":
        os.rename(f"{folder}/vocab.json", f"{folder}/{words}")
    return bpe.get_vocab_size()


def word_pieces():
    from tokenizers import BertWordPieceTokenizer

    pieces = BertWordPieceTokenizer(lowercase=True)
    pieces.train_from_iterator(CORPUS, vocab_size=120, min_frequency=1, special_tokens=SPECIAL_BERT)
    vocabulary = pieces.get_vocab()
    return sorted(vocabulary, key=vocabulary.get)


def batch(size, pad, framed=True, left=False):
    """Rows of several lengths, padded at their end, or at both."""
    tokens = rng.integers(5, size, (3, 9)).astype("int32")
    mask = np.ones((3, 9), "int32")
    mask[1, 6:] = 0
    mask[2, 2:] = 0
    if left:
        mask[1, :2] = 0
    if framed:
        tokens[:, 0] = 2
    return np.where(mask == 1, tokens, pad).astype("int32"), mask


def randomize(model, scale=0.35):
    for weight in model.weights:
        name = getattr(weight, "path", weight.name)
        if "seed_generator" not in name:
            value = rng.normal(size=tuple(weight.shape)).astype("float32") * scale
            weight.assign(value + 1 if "gamma" in name else value)


def write(folder, expected, ids=None):
    np.savez_compressed(f"{folder}/expected.npz", **expected)
    if ids is not None:
        with open(f"{folder}/texts.json", "w") as file:
            json.dump(ids, file, ensure_ascii=False)
    print(os.path.basename(folder), sorted(expected))


def hugging_face():
    import tensorflow as tf
    import transformers as t
    from safetensors.numpy import save_file
    from transformers.modeling_tf_pytorch_utils import convert_tf_weight_name_to_pt_weight_name as by_pytorch

    def save(model, folder, form):
        """One of three forms of the same weights."""
        if form == "h5":
            model.save_pretrained(folder, safe_serialization=False)
        elif form == "tf":
            model.save_pretrained(folder, safe_serialization=True)
        else:
            os.makedirs(folder, exist_ok=True)
            arrays = {}
            for weight in model.weights:
                name, turns = by_pytorch(weight.name, tf_weight_shape=tuple(weight.shape))
                value = weight.numpy()
                turns = getattr(turns, "value", turns)
                value = value.T if turns == "simple" and value.ndim == 2 else value
                value = value.squeeze() if name.endswith("bias") else value
                arrays[name] = np.ascontiguousarray(value)
            if "LMHead" in type(model).__name__ or "MaskedLM" in type(model).__name__:
                arrays.update(extra(type(model).__name__, arrays))
            save_file(arrays, f"{folder}/model.safetensors", metadata={"format": "pt"})
            model.config.architectures = [type(model).__name__[2:]]
            model.config.save_pretrained(folder)

    def extra(kind, arrays):
        """What PyTorch's models hold besides: decoders that repeat the table, buffers."""
        if kind == "TFGPT2LMHeadModel":
            return {"transformer.h.0.attn.bias": np.ones((1, 1, LENGTH, LENGTH), bool)}
        if kind == "TFRobertaForMaskedLM":
            return {"lm_head.decoder.bias": arrays["lm_head.bias"].copy(),
                    "lm_head.decoder.weight": arrays["roberta.embeddings.word_embeddings.weight"].copy()}
        return {}

    def case(name, form, kind, config, pad, left=False, framed=True, greedy=False):
        folder = os.path.join(root, name)
        shutil.rmtree(folder, ignore_errors=True)
        model = getattr(t, "TF" + kind)(config)
        tokens, mask = batch(config.vocab_size, pad, framed, left)
        model(tokens)
        randomize(model)
        save(model, folder, form)
        inputs = {"input_ids": tokens, "attention_mask": mask}
        if config.model_type in ("bert", "roberta") and config.type_vocab_size > 1:
            inputs["token_type_ids"] = rng.integers(0, config.type_vocab_size, tokens.shape).astype("int32") * mask
        out = model(**inputs, output_hidden_states=True)
        expected = {"tokens": tokens, "mask": mask}
        if "token_type_ids" in inputs:
            expected["types"] = inputs["token_type_ids"]
        expected["sequence"] = out.hidden_states[-1].numpy()
        if getattr(out, "pooler_output", None) is not None:
            expected["pooled"] = out.pooler_output.numpy()
        logits = getattr(out, "logits", getattr(out, "prediction_logits", None))
        if logits is not None:
            expected["class_logits" if logits.shape.rank == 2 else "logits"] = logits.numpy()
        if greedy:
            prompt = rng.integers(1, config.vocab_size, (1, 4)).astype("int32")
            expected["prompt"] = prompt[0]
            made = model.generate(prompt, max_new_tokens=16, do_sample=False, eos_token_id=None, pad_token_id=0)
            expected["greedy"] = made.numpy()[0, 4:].astype("int32")
        ids = None
        if config.model_type in SPECIAL_BPE and form != "h5":
            byte_bpe(config.model_type, folder)
            kind = t.GPT2TokenizerFast if config.model_type == "gpt2" else t.RobertaTokenizerFast
            tokenizer = kind(f"{folder}/vocab.json", f"{folder}/merges.txt")
            ids = [{"text": text, "ids": tokenizer(text)["input_ids"]} for text in texts()]
            if greedy:  # of "The quick", tokens that the tokenizer has
                row = tokenizer("The quick")["input_ids"]
                for _ in range(10):
                    row.append(int(model(np.array([row])).logits[0, -1, : len(tokenizer)].numpy().argmax()))
                expected["continuation"] = np.array(row[-10:], "int32")
        write(folder, expected, ids)

    sizes = dict(num_hidden_layers=LAYERS, num_attention_heads=HEADS, hidden_size=WIDTH, intermediate_size=MLP)
    # A vocabulary above that of the tokenizer, as 50,304 is above 50,257.
    roberta = dict(sizes, vocab_size=340, max_position_embeddings=LENGTH + 2, type_vocab_size=1, layer_norm_eps=1e-5)
    case("roberta_mlm", "torch", "RobertaForMaskedLM", t.RobertaConfig(**roberta), 1)
    small = dict(roberta, vocab_size=50)
    case("roberta_encoder", "h5", "RobertaModel", t.RobertaConfig(**dict(small, hidden_act="relu", type_vocab_size=3)), 1, left=True)
    case("xlm_roberta_classifier", "h5", "XLMRobertaForSequenceClassification",
         t.XLMRobertaConfig(**small, num_labels=3), 1, left=True)
    case("camembert_mlm", "h5", "CamembertForMaskedLM", t.CamembertConfig(**dict(small, hidden_act="relu")), 1)
    bert = dict(sizes, vocab_size=50, max_position_embeddings=LENGTH)
    case("bert_mlm", "tf", "BertForMaskedLM", t.BertConfig(**bert, hidden_act="gelu_new"), 0)
    case("bert_pretraining", "h5", "BertForPreTraining", t.BertConfig(**bert, layer_norm_eps=1e-3), 0, left=True)
    case("bert_classifier", "torch", "BertForSequenceClassification", t.BertConfig(**bert, num_labels=4), 0)
    distil = dict(vocab_size=50, dim=WIDTH, n_layers=LAYERS, n_heads=HEADS, hidden_dim=MLP, max_position_embeddings=LENGTH)
    case("distilbert_mlm", "torch", "DistilBertForMaskedLM", t.DistilBertConfig(**distil), 0)
    case("distilbert_encoder", "tf", "DistilBertModel", t.DistilBertConfig(**distil, sinusoidal_pos_embds=True), 0)
    case("distilbert_classifier", "h5", "DistilBertForSequenceClassification",
         t.DistilBertConfig(**distil, activation="relu", num_labels=3), 0)
    gpt = dict(n_embd=WIDTH, n_layer=LAYERS, n_head=HEADS, n_positions=LENGTH, n_ctx=LENGTH)
    case("gpt2", "torch", "GPT2LMHeadModel", t.GPT2Config(**gpt, vocab_size=340), 0, framed=False, greedy=True)
    case("gpt2_inner", "h5", "GPT2LMHeadModel", t.GPT2Config(**gpt, vocab_size=50, n_inner=20, activation_function="relu",
                                                             layer_norm_epsilon=1e-3), 0, framed=False, greedy=True)
    case("gpt2_bare", "tf", "GPT2Model", t.GPT2Config(**dict(gpt, n_layer=3), vocab_size=340), 0, framed=False)


def keras_hub():
    import keras
    import keras_hub
    import tensorflow as tf

    m = keras_hub.models
    sizes = dict(num_layers=LAYERS, num_heads=HEADS, hidden_dim=WIDTH, intermediate_dim=MLP, max_sequence_length=LENGTH)

    def case(name, model, pad, tokenizer=None, framed=True, preset=False):
        folder = os.path.join(root, name)
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        backbone = getattr(model, "backbone", model)
        randomize(model)
        tokens, mask = batch(min(50, backbone.vocabulary_size), pad, framed)
        inputs = {"token_ids": tokens, "padding_mask": mask}
        expected = {"tokens": tokens, "mask": mask}
        if "segment_ids" in backbone.input:
            inputs["segment_ids"] = expected["types"] = rng.integers(0, 2, tokens.shape).astype("int32") * mask
        states = backbone(inputs)
        if isinstance(states, dict):
            expected["pooled"] = np.asarray(states["pooled_output"])
            states = states["sequence_output"]
        expected["sequence"] = np.asarray(states)
        if model is not backbone:
            if "MaskedLM" in type(model).__name__:
                expected.pop("pooled", None)
                inputs["mask_positions"] = np.tile(np.arange(tokens.shape[1], dtype="int32"), (len(tokens), 1))
            logits = np.asarray(model(inputs))
            expected["class_logits" if logits.ndim == 2 else "logits"] = logits
        if "CausalLM" in type(model).__name__:
            prompt = rng.integers(1, 50, 4).astype("int32")
            expected["prompt"], expected["greedy"] = prompt, greedy(model, prompt, 16)
        if preset:
            model.save_to_preset(folder)
        else:
            model.save(f"{folder}/model.keras")
        ids = None
        if tokenizer is not None:
            marked = [t for group in SPECIAL_BPE.values() for t in group] + SPECIAL_BERT
            plain = [text for text in texts() if text and not any(mark in text for mark in marked + ["…", "\u00a0"])]
            read = {text: [int(i) for i in tokenizer(text)] for text in plain}
            if isinstance(tokenizer, keras_hub.tokenizers.BytePairTokenizer):
                # Outside of tf.data KerasHub 0.31 merges across words: what both ways agree on.
                traced = tf.function(lambda text: tokenizer(text))
                read = {text: known for text, known in read.items() if traced(tf.constant(text)).numpy().tolist() == known}
            ids = [{"text": text, "content": known} for text, known in read.items()]
        write(folder, expected, ids)

    def greedy(model, prompt, count):
        row = list(prompt)
        for _ in range(count):
            tokens = np.array([row], "int32")
            logits = np.asarray(model({"token_ids": tokens, "padding_mask": np.ones_like(tokens)}))
            row.append(int(logits[0, -1].argmax()))
        return np.array(row[len(prompt):], "int32")

    # A padding token that is not the usual one.
    words = [w for w in word_pieces() if w != "[PAD]"]
    words.insert(4, "[PAD]")
    pieces = m.BertTokenizer(vocabulary=words, lowercase=True)
    head = m.BertMaskedLMPreprocessor(pieces, sequence_length=LENGTH)
    case("hub_bert_mlm", m.BertMaskedLM(m.BertBackbone(vocabulary_size=len(words), **sizes), preprocessor=head), 4, pieces)
    case("hub_bert", m.BertBackbone(vocabulary_size=50, **sizes), 0)
    case("hub_bert_classifier", m.BertTextClassifier(m.BertBackbone(vocabulary_size=50, num_segments=3, **sizes), num_classes=3), 0, preset=True)
    case("hub_roberta_classifier", m.RobertaTextClassifier(m.RobertaBackbone(vocabulary_size=50, **sizes), num_classes=3), 1)
    scratch = os.path.join(root, "scratch")
    size = byte_bpe("roberta", scratch, "vocabulary.json")
    bpe = m.RobertaTokenizer(vocabulary=f"{scratch}/vocabulary.json", merges=f"{scratch}/merges.txt")
    head = m.RobertaMaskedLMPreprocessor(bpe, sequence_length=LENGTH)
    case("hub_roberta_mlm", m.RobertaMaskedLM(m.RobertaBackbone(vocabulary_size=size, **sizes), preprocessor=head), 1, bpe, preset=True)
    case("hub_distilbert_mlm", m.DistilBertMaskedLM(m.DistilBertBackbone(vocabulary_size=50, **sizes)), 0, preset=True)
    case("hub_distilbert_classifier", m.DistilBertTextClassifier(m.DistilBertBackbone(vocabulary_size=50, **sizes), num_classes=2,
                                                                 hidden_dim=6), 0)
    size = byte_bpe("gpt2", scratch, "vocabulary.json")
    bpe = m.GPT2Tokenizer(vocabulary=f"{scratch}/vocabulary.json", merges=f"{scratch}/merges.txt")
    head = m.GPT2CausalLMPreprocessor(bpe, sequence_length=LENGTH)
    case("hub_gpt2", m.GPT2CausalLM(m.GPT2Backbone(vocabulary_size=size, **sizes), preprocessor=head), 0, bpe, framed=False)
    case("hub_gpt2_preset", m.GPT2CausalLM(m.GPT2Backbone(vocabulary_size=size, **dict(sizes, num_layers=12)), preprocessor=head), 0,
         bpe, framed=False, preset=True)
    shutil.rmtree(scratch)
    half = keras.Sequential([keras.Input([2]), keras.layers.Dense(2, dtype="bfloat16")])
    half.save_weights(os.path.join(root, "bfloat16.weights.h5"))


os.makedirs(root, exist_ok=True)
(hugging_face if what == "hugging-face" else keras_hub)()
