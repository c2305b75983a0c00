"""Trains the small tokenizers of this folder and writes what Python's `tokenizers` makes of some texts.

Run here with Python >= 3.9 and `pip install tokenizers` (made with 0.23.3): python make.py
"""

import json
import pathlib

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

HERE = pathlib.Path(__file__).parent
CORPUS = [
    "The attention of a Transformer compares every token with every other token, so its cost grows with the square of the length.",
    "A Performer estimates the softmax kernel with positive random features, and its cost grows with the length alone.",
    "Random features are drawn once, orthogonal to each other, and may be drawn again while the model is trained.",
    "Proteins, texts, pictures and sounds are sequences; long ones are where linear attention pays.",
    "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich. Été, café, naïve: accents matter.",
    "import, fine-tune, evaluate, export! Is it exact? No: it's an estimate (unbiased), with 256 features per head.",
]
TEXTS = [
    "Hello, world!",
    "The Performer's attention is linear; it's UNBIASED.",
    "Café Zürich — 東京 1,234.5 👍🏽 (ok)",
    "",
    " ",
    "  two  spaces\tand\na line  ",
    "Supercalifragilisticexpialidocious" * 4,
    "[MASK] and [SEP] in a text, <|endoftext|> too",
    "\u0000control\u200bzero\u00a0width",
    "e\u0301 and \u00e9",
]


def word_piece():
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.train_from_iterator(CORPUS, trainers.WordPieceTrainer(vocab_size=300, special_tokens=special, show_progress=False))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", tokenizer.token_to_id("[CLS]")), ("[SEP]", tokenizer.token_to_id("[SEP]"))],
    )
    # As sentence encoders ship theirs: what they crop and pad to is not the tokenizer's affair.
    tokenizer.enable_truncation(8)
    tokenizer.enable_padding(length=8, pad_token="[PAD]", pad_id=0)
    return tokenizer


def byte_level_bpe():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    return tokenizer


def expected(tokenizer):
    tokenizer.no_truncation()
    tokenizer.no_padding()
    rows = []
    for text in TEXTS:
        plain = tokenizer.encode(text, add_special_tokens=False).ids
        rows.append({"text": text, "ids": plain, "framed": tokenizer.encode(text).ids, "decoded": tokenizer.decode(plain)})
    return rows


if __name__ == "__main__":
    for name, tokenizer in {"wordpiece": word_piece(), "bpe": byte_level_bpe()}.items():
        folder = HERE / name
        folder.mkdir(exist_ok=True)
        (folder / "tokenizer.json").write_text(json.dumps(json.loads(tokenizer.to_str()), ensure_ascii=False))
        (folder / "expected.json").write_text(json.dumps(expected(tokenizer), ensure_ascii=False, indent=1))
    vocabulary = Tokenizer.from_file(str(HERE / "wordpiece/tokenizer.json")).get_vocab()
    (HERE / "wordpiece/vocab.txt").write_text("".join(t + "\n" for t in sorted(vocabulary, key=vocabulary.get)))
