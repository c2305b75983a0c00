"""Makes bible/tokenizer.json, 2,048 pieces of words, from bible/train.

    pip install tokenizers==0.21.4
    python3 vocabulary.py
"""
import gzip
import pathlib

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

HERE = pathlib.Path(__file__).parent / "bible"
tokenizer = Tokenizer(models.BPE())
tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
tokenizer.decoder = decoders.ByteLevel()
letters = pre_tokenizers.ByteLevel.alphabet()  # all 256 bytes, so that no text is unknown
trainer = trainers.BpeTrainer(vocab_size=2048, initial_alphabet=letters, show_progress=False)
texts = [gzip.decompress(file.read_bytes()).decode() for file in sorted((HERE / "train").glob("*.gz"))]
tokenizer.train_from_iterator(texts, trainer)
tokenizer.save(str(HERE / "tokenizer.json"))
