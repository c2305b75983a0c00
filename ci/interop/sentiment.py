"""Writes reviews of one sentence, made by a seed, to learn from and to evaluate on: sentiment.py TRAIN.csv VALIDATION.csv

What is praised and the words of praise and blame differ between the two files, so that only a model that knows the words beforehand
gets the second one right. Two in three reviews are positive.
"""

import csv
import random
import sys

TRAIN = {
    "thing": "film book meal hotel concert novel pizza museum game song lecture cafe".split(),
    "positive": "wonderful excellent charming delightful brilliant lovely great superb enjoyable amazing".split(),
    "negative": "terrible boring awful dreadful disappointing horrible bad poor annoying ugly".split(),
}
VALIDATION = {
    "thing": "movie restaurant play album story bar exhibition show".split(),
    "positive": "fantastic marvelous beautiful pleasant outstanding magnificent".split(),
    "negative": "dull miserable lousy disgusting unpleasant mediocre".split(),
}
FORMS = [
    "The {thing} was {word}.",
    "What a {word} {thing}, from beginning to end!",
    "We found the {thing} rather {word} this time.",
    "My sister took me to a {word} {thing} on Friday.",
    'They called it "{word}", and the {thing} really was.',
]


def write(path, words, count, seed):
    draw = random.Random(seed)
    with open(path, "w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "text", "sentiment"])
        for i in range(count):
            label = "positive" if draw.random() < 2 / 3 else "negative"
            text = draw.choice(FORMS).format(thing=draw.choice(words["thing"]), word=draw.choice(words[label]))
            rows.writerow([i, text, label])


write(sys.argv[1], TRAIN, 480, 1)
write(sys.argv[2], VALIDATION, 120, 2)
